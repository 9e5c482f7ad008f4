import numpy as np
import pytest

from spark_apps.training.shrinkage import NormalEquations, ridge

CARS, MODELS, COLOURS = 4_000, 60, 12
NOISE = 0.1


def equations(x: np.ndarray, y: np.ndarray) -> NormalEquations:
    centred, label = x - x.mean(axis=0), y - y.mean()
    return NormalEquations(
        gram=centred.T @ centred,
        moments=centred.T @ label,
        means=x.mean(axis=0),
        label_mean=float(y.mean()),
        label_square=float(label @ label),
        rows=float(len(y)),
    )


@pytest.fixture(scope="module")
def cars() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One-hot vectors of models and colours, prices that models move by 0.5, and what models are worth."""
    random = np.random.default_rng(2)
    model, colour = random.integers(MODELS, size=CARS), random.integers(COLOURS, size=CARS)
    worth = random.normal(scale=0.5, size=MODELS)
    x = np.hstack([np.eye(MODELS)[model], np.eye(COLOURS)[colour]])
    return x, 10 + worth[model] + random.normal(scale=NOISE, size=CARS), worth


def test_a_group_is_drawn_to_the_mean_by_its_noise_over_its_variance(cars) -> None:
    x, y, worth = cars

    found = ridge(equations(x, y), (MODELS, COLOURS))

    assert found.priors[0] == pytest.approx(NOISE**2 / worth.var(), rel=0.4)
    assert found.priors[1] > 300, "colours say nothing"


def test_what_is_learned_is_what_the_labels_are_worth(cars) -> None:
    x, y, worth = cars

    found = ridge(equations(x, y), (MODELS, COLOURS))

    predicted = x @ found.coefficients + found.intercept
    assert np.sqrt(((predicted - y) ** 2).mean()) == pytest.approx(NOISE, rel=0.05)
    levels = found.coefficients[:MODELS]
    assert np.corrcoef(levels, worth)[0, 1] > 0.999
    assert np.abs(found.coefficients[MODELS:]).max() < 0.01


def test_a_single_car_tells_most_of_what_its_model_is_worth(cars) -> None:
    x, y, worth = cars
    alone = np.flatnonzero(x[:, 7])[1:]
    x, y = np.delete(x, alone, axis=0), np.delete(y, alone)

    found = ridge(equations(x, y), (MODELS, COLOURS))

    said = found.coefficients[7] + found.intercept
    assert said == pytest.approx(10 + worth[7], abs=4 * NOISE)


def test_labels_dealt_out_at_random_say_nothing(cars) -> None:
    x, _, _ = cars
    y = np.random.default_rng(0).normal(size=CARS)

    found = ridge(equations(x, y), (MODELS, COLOURS))

    assert (x @ found.coefficients).std() < 0.1
    assert found.priors == ridge(equations(x, y), (MODELS, COLOURS)).priors, "the same every time"


def test_features_that_never_differ_stay_at_the_mean() -> None:
    x, y = np.zeros((50, 3)), np.arange(50.0)

    found = ridge(equations(x, y), (2, 1))

    assert not found.coefficients.any()
    assert found.intercept == pytest.approx(24.5)
