import numpy as np
import pytest

from spark_apps.listings.features import CATEGORIES, NUMBERS, Kept, Labels, fit_labels, kept_labels
from spark_apps.training.embedding import (
    NARROW,
    WIDE,
    Embedding,
    embed,
    one_hot_widths,
    priors,
    slope_widths,
)
from spark_apps.training.planes import NormalEquations
from spark_apps.training.preparation import Encoding, plane_size, tree_feature_names

MODELS, FUELS = 11, 2
ROWS = 1e9  # so many that the ridge draws nothing to the mean


@pytest.fixture(scope="module")
def labels() -> Labels:
    counts = {("category_model", f"m{n:02}"): 9 for n in range(MODELS)} | {
        ("category_fuel_type", f"f{n}"): 9 for n in range(FUELS)
    }
    rule = Kept(1, 99)
    return fit_labels(counts, kept_labels(categories=rule, models=rule, variants=rule))


@pytest.fixture(scope="module")
def encoding(labels: Labels) -> Encoding:
    """Every feature says something else, and each coefficient is its number."""
    features = plane_size(labels) + sum(slope_widths(labels))
    numbered = np.arange(features, dtype=float)
    none = np.zeros(features)
    equations = NormalEquations(np.eye(features) * ROWS, numbered * ROWS, none, 0.0, none)
    return Encoding(labels, embed(labels, equations, numbers=len(NUMBERS)), equations)


def places(labels: Labels, category: str) -> slice:
    widths = dict(zip(CATEGORIES, one_hot_widths(labels), strict=True))
    start = sum(widths[name] for name in list(CATEGORIES)[: list(CATEGORIES).index(category)])
    return slice(start, start + widths[category])


def column(embedding: Embedding, name: str) -> np.ndarray:
    return embedding.weights[:, embedding.names.index(name)]


def test_a_label_of_a_wide_category_is_told_by_its_own_coefficient(
    labels: Labels, encoding: Encoding
) -> None:
    for name in WIDE:
        here = places(labels, name)
        expected = np.zeros(len(encoding.embedding.weights))
        expected[here] = np.arange(len(NUMBERS) + here.start, len(NUMBERS) + here.stop)
        assert column(encoding.embedding, f"level_{name}") == pytest.approx(expected, rel=1e-6)


def test_slopes_are_those_of_their_interaction(labels: Labels, encoding: Encoding) -> None:
    here = places(labels, "model")
    first = plane_size(labels)
    width = here.stop - here.start

    by_age = column(encoding.embedding, "model_by_age")
    by_mileage = column(encoding.embedding, "model_by_mileage")

    assert by_age[here] == pytest.approx(np.arange(first, first + width), rel=1e-6)
    assert by_mileage[here] == pytest.approx(np.arange(first + width, first + 2 * width), rel=1e-6)
    assert not by_age[: here.start].any()
    assert not by_age[here.stop :].any()


def test_what_tells_most_of_a_price_is_drawn_less_to_the_mean(labels: Labels) -> None:
    found = priors(labels, numbers=len(NUMBERS))
    for name, share in (("model", 0.1), ("make", 0.5), ("trim", 0.25), ("fuel_type", 1.0)):
        here = places(labels, name)
        assert set(found[len(NUMBERS) + here.start : len(NUMBERS) + here.stop]) == {share}
    assert set(found[: len(NUMBERS)]) == set(found[plane_size(labels) :]) == {1.0}
    assert len(found) == plane_size(labels) + sum(slope_widths(labels))


def test_each_place_of_a_narrow_category_is_a_feature_and_shares_its_name(encoding: Encoding) -> None:
    names = tree_feature_names(encoding)

    assert names.count("mileage") == names.count("level_make") == names.count("model_by_age") == 1
    assert names.count("fuel_type") == FUELS + 2, "an index for what was not seen, and one that none has"
    assert set(NARROW) <= set(names)
    assert not set(WIDE) & set(names)


def test_weights_are_numbers_that_float32_has(encoding: Encoding) -> None:
    weights = encoding.embedding.weights
    assert (weights.astype(np.float32) == weights).all()


def test_a_ridge_is_least_squares_with_so_many_rows_more_at_the_mean() -> None:
    rng = np.random.default_rng(3)
    features, label = rng.normal(5, 2, (50, 3)), rng.normal(1, 1, 50)
    centred = features - features.mean(axis=0)
    equations = NormalEquations(
        centred.T @ centred,
        centred.T @ (label - label.mean()),
        features.mean(axis=0),
        float(label.mean()),
        np.array([1.0, 0.25, 4.0]),
    )

    coefficients, intercept = equations.ridge(4.0)

    more = np.vstack([centred, np.diag([2.0, 1.0, 4.0])])  # their squares: 4 times 1, 0.25 and 4
    expected, *_ = np.linalg.lstsq(more, np.concatenate([label - label.mean(), np.zeros(3)]), rcond=None)
    assert coefficients == pytest.approx(expected)
    assert intercept == pytest.approx(label.mean() - expected @ features.mean(axis=0))
    assert equations.first(2).ridge(4.0)[0] == pytest.approx(
        np.linalg.solve(equations.gram[:2, :2] + np.diag([4.0, 1.0]), equations.moments[:2])
    )


def test_only_so_many_labels_have_slopes_of_their_own() -> None:
    rule = Kept(1, 2_000)
    counts = {("category_model", f"m{n}"): 9 for n in range(900)}
    labels = fit_labels(counts, kept_labels(categories=rule, models=rule, variants=rule))

    assert slope_widths(labels) == (500, 500, 2), "of models at most 500; of makes the one for all and none's"
