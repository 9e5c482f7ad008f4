import numpy as np
import pytest

from spark_apps.listings.features import CATEGORIES, NUMBERS, Kept, Labels, fit_labels, kept_labels
from spark_apps.training.embedding import Embedding, embed, one_hot_widths, slope_widths
from spark_apps.training.preparation import FEATURE_COLUMNS, TREE_FEATURES
from spark_apps.training.shrinkage import NormalEquations

MODELS, FUELS = 11, 2
ROWS = 1e9  # so many that next to nothing is drawn to the mean


def labels_of(models: int) -> Labels:
    counts = {("category_model", f"m{n:04}"): 9 for n in range(models)} | {
        ("category_fuel_type", f"f{n}"): 9 for n in range(FUELS)
    }
    rule = Kept(1, 9_999)
    return fit_labels(counts, kept_labels(categories=rule, models=rule, variants=rule))


@pytest.fixture(scope="module")
def labels() -> Labels:
    return labels_of(MODELS)


@pytest.fixture(scope="module")
def embedding(labels: Labels) -> Embedding:
    """Every feature says something else: its number."""
    features = len(NUMBERS) + sum(one_hot_widths(labels)) + sum(slope_widths(labels))
    said = np.arange(1.0, features + 1)
    square = float(said @ said) * ROWS
    return embed(labels, NormalEquations(np.eye(features) * ROWS, said * ROWS, said * 0, 3.0, square, ROWS))


def test_levels_are_what_the_ridge_says_of_each_index(labels: Labels, embedding: Embedding) -> None:
    start = len(NUMBERS)
    for category, width in zip(CATEGORIES, one_hot_widths(labels), strict=True):
        expected = np.arange(start + 1, start + width + 1)
        assert embedding.levels[f"level_{category}"] == pytest.approx(expected, rel=1e-3)
        start += width


def test_slopes_are_those_of_their_interaction(labels: Labels, embedding: Embedding) -> None:
    start = len(NUMBERS) + sum(one_hot_widths(labels))
    for name, width in zip(
        ("model_by_age", "model_by_mileage", "make_by_mileage"), slope_widths(labels), strict=True
    ):
        expected = np.arange(start + 1, start + width + 1)
        assert embedding.slopes[name] == pytest.approx(expected, rel=1e-3)
        start += width


def test_trees_see_them_as_they_are_added_up(embedding: Embedding) -> None:
    for values in (*embedding.levels.values(), *embedding.slopes.values()):
        assert values.dtype == np.float32


def test_what_rounding_has_left_of_nothing_is_nothing(labels: Labels) -> None:
    features = len(NUMBERS) + sum(one_hot_widths(labels)) + sum(slope_widths(labels))
    said = np.full(features, 1e-9)
    said[len(NUMBERS)] = 1e-3
    square = float(said @ said) * ROWS
    told = embed(labels, NormalEquations(np.eye(features) * ROWS, said * ROWS, said * 0, 3.0, square, ROWS))
    first, *others = np.concatenate([*told.levels.values(), *told.slopes.values()])
    assert first == pytest.approx(1e-3, rel=1e-2)
    assert set(others) == {0.0}


def test_only_frequent_labels_have_slopes() -> None:
    assert max(slope_widths(labels_of(900))) == 500


def test_the_ridge_is_a_plane_of_the_features(embedding: Embedding) -> None:
    found = dict(zip(FEATURE_COLUMNS, embedding.coefficients(FEATURE_COLUMNS), strict=True))

    assert [found[f"number_{name}"] for name in NUMBERS] == pytest.approx(embedding.numbers.tolist())
    assert found["level_make"] == found["model_by_age_product"] == 1
    assert found["model_by_age"] == found["log_rank_variant"] == 0


def test_trees_see_all_but_the_products() -> None:
    assert FEATURE_COLUMNS[: len(TREE_FEATURES)] == TREE_FEATURES
    assert {column.removesuffix("_product") for column in FEATURE_COLUMNS[len(TREE_FEATURES) :]} == {
        "model_by_age",
        "model_by_mileage",
        "make_by_mileage",
    }
