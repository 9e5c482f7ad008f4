from __future__ import annotations

from typing import Any

import pytest

from control_plane.records import DriftWindow, EstimateWindow, metric
from control_plane.web.drift import LastDrift
from tests.unit.control_plane.stories import NOON
from tests.unit.exporter.records import drift, estimate


def window(**parts: Any) -> DriftWindow:
    found = metric(drift(**parts))
    assert isinstance(found, DriftWindow)
    return found


def shown(*windows: DriftWindow) -> dict[str, Any]:
    last = LastDrift()
    for one in windows:
        last.take_drift(one)
    return last.shown()


def test_without_any_window_there_is_nothing():
    assert shown() == {"model_version": None, "window_end": None, "features": [], "expected": None}


def test_the_feature_that_has_drifted_most_comes_first_and_each_has_a_word():
    found = shown(
        window(feature="year", psi=0.02), window(feature="make", psi=0.7), window(feature="mileage", psi=0.2)
    )
    assert [(one["feature"], one["word"]) for one in found["features"]] == [
        ("make", "drifted"),
        ("mileage", "moving"),
        ("year", "stable"),
    ]
    assert (found["model_version"], found["window_end"]) == (7, NOON.timestamp())


@pytest.mark.parametrize(
    ("psi", "word"), [(0.04, "stable"), (0.05, "stable"), (0.24, "moving"), (0.25, "drifted")]
)
def test_the_words_are_those_of_the_custom(psi, word):
    assert shown(window(psi=psi))["features"][0]["word"] == word


def test_what_may_be_chance_is_stable():
    few = window(psi=0.3)
    few = DriftWindow(**{name: getattr(few, name) for name in few.__struct_fields__} | {"chance": 0.4})
    assert shown(few)["features"][0]["word"] == "stable"


def test_only_the_newest_window_of_the_newest_version_is_shown():
    found = shown(
        window(minute=5, feature="make"),
        window(minute=0, feature="year"),
        window(minute=5, feature="mileage"),
        window(minute=5, feature="mileage", version=6),
    )
    assert {one["feature"] for one in found["features"]} == {"make", "mileage"}
    found = shown(window(minute=5, feature="make"), window(minute=10, feature="year"))
    assert [one["feature"] for one in found["features"]] == ["year"]


def test_the_errors_to_be_expected_are_those_of_the_last_window():
    last = LastDrift()
    for minute, rmse in ((5, 1_000.0), (10, 2_000.0), (5, 3_000.0)):
        estimated = metric(estimate(minute, rmse=rmse))
        assert isinstance(estimated, EstimateWindow)
        last.take_estimate(estimated)
    assert last.shown()["expected"] == {"model_version": 7, "count": 500, "rmse": 2_000, "mae": 2_000}
