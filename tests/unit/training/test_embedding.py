import numpy as np
import pytest

from spark_apps.listings.features import CATEGORIES, NUMBERS, Kept, Labels, fit_labels
from spark_apps.training.embedding import INTERACTIONS, NARROW, WIDE, Embedding, embed, one_hot_widths
from spark_apps.training.planes import NormalEquations
from spark_apps.training.preparation import Encoding, plane_size, tree_arities, tree_feature_names

MODELS, FUELS = 11, 2
ROWS = 1e9  # so many that the ridge draws nothing to the mean


@pytest.fixture(scope="module")
def labels() -> Labels:
    counts = {("category_model", f"m{n:02}"): 9 for n in range(MODELS)} | {
        ("category_fuel_type", f"f{n}"): 9 for n in range(FUELS)
    }
    return fit_labels(counts, categories=Kept(1, 99), variants=Kept(1, 99))


@pytest.fixture(scope="module")
def encoding(labels: Labels) -> Encoding:
    """Every feature says something else, and each coefficient is its number."""
    widths = dict(zip(CATEGORIES, one_hot_widths(labels), strict=True))
    features = plane_size(labels) + sum(widths[category] for category, _ in INTERACTIONS)
    numbered = np.arange(features, dtype=float)
    equations = NormalEquations(np.eye(features) * ROWS, numbered * ROWS, np.zeros(features), 0.0)
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


def test_models_come_in_groups_of_eight_neighbours_and_every_other_label_is_the_ninth(
    labels: Labels, encoding: Encoding
) -> None:
    here = places(labels, "model")
    groups = encoding.embedding.weights[here, encoding.embedding.names.index("model") :].T

    assert groups[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, *[8] * (MODELS - 8 + 2)]
    assert groups[1].tolist() == [*[8] * 8, 0, 1, 2, 8, 8], "labels not seen before among them"


def test_names_and_arities_go_together(encoding: Encoding) -> None:
    names, arities = tree_feature_names(encoding), tree_arities(encoding)

    assert len(names) == len(arities)
    by_name = dict(zip(names, arities, strict=True))
    assert by_name["mileage"] == by_name["rank_model"] == by_name["level_make"] == -1
    assert by_name["model"] == 9
    assert by_name["fuel_type"] == FUELS + 1, "one index more than labels"
    assert names[-len(NARROW) :] == NARROW


def test_weights_are_numbers_that_float32_has(encoding: Encoding) -> None:
    weights = encoding.embedding.weights
    assert (weights.astype(np.float32) == weights).all()


def test_a_ridge_is_least_squares_with_so_many_rows_more_at_the_mean() -> None:
    rng = np.random.default_rng(3)
    features, label = rng.normal(5, 2, (50, 3)), rng.normal(1, 1, 50)
    centred = features - features.mean(axis=0)
    equations = NormalEquations(
        centred.T @ centred, centred.T @ (label - label.mean()), features.mean(axis=0), float(label.mean())
    )

    coefficients, intercept = equations.ridge(4.0)

    more = np.vstack([centred, np.eye(3) * 2.0])  # 2² = 4
    expected, *_ = np.linalg.lstsq(more, np.concatenate([label - label.mean(), np.zeros(3)]), rcond=None)
    assert coefficients == pytest.approx(expected)
    assert intercept == pytest.approx(label.mean() - expected @ features.mean(axis=0))
    assert equations.first(2).ridge(4.0)[0] == pytest.approx(
        np.linalg.solve(equations.gram[:2, :2] + 4 * np.eye(2), equations.moments[:2])
    )
