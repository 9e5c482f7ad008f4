"""When a model counts as degraded: windows in a row beyond a bound, told once in a cool-down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import events
from control_plane.quality import Serving, degradations, serving
from control_plane.records import DriftWindow, ErrorWindow
from control_plane.settings import Quality
from tests.unit.control_plane.stories import MODELS, NOON

SERVES = Serving(version=2, since=NOON, run_id="run-2")
BOUNDS = Quality(windows=3, rmse=1.5, outcomes=30, psi=0.25, inputs=2, cool_down=600)
HELD_OUT = 2_000.0


def minute(number: float) -> Any:
    return NOON + timedelta(minutes=number)


def error(number: int, rmse: float | None, **changes: Any) -> ErrorWindow:
    fields = {
        "window_start": minute(number), "window_end": minute(number + 1), "model_version": 2,
        "model": "stack", "count": 100, "rmse": rmse, "mae": 1.0, "mape": 0.1, "bias": 0.0, "r2": 0.9,
        "coverage": 0.9,
    }  # fmt: skip
    return ErrorWindow(**fields | changes)


def drift(number: int, feature: str, psi: float, **changes: Any) -> DriftWindow:
    fields = {
        "window_start": minute(number), "window_end": minute(number + 1), "model_version": 2,
        "feature": feature, "psi": psi, "chance": 0.05, "count": 500, "missing": 0.0,
    }  # fmt: skip
    return DriftWindow(**fields | changes)


def told(metrics: list[Any], log: list[events.Recorded] = (), **bounds: Any) -> list[events.ModelDegraded]:  # type: ignore[assignment]
    return degradations(metrics, log, SERVES, HELD_OUT, BOUNDS.model_copy(update=bounds))


def recorded(found: list[events.ModelDegraded]) -> list[events.Recorded]:
    return [events.Recorded(id=one.id, source="/tests", time=NOON, event=one) for one in found]


def test_an_error_beyond_the_bound_in_three_windows_in_a_row_is_told():
    [found] = told([error(0, 3_100), error(1, 3_200), error(2, 3_300)])

    assert found.model_dump(exclude={"features"}) == {
        "version": 2,
        "what": "rmse",
        "value": 3_300,
        "bound": 3_000,
        "window_start": minute(2),
        "window_end": minute(3),
        "windows": 3,
    }
    assert found.id == "model.degraded/2/rmse/2026-01-31T12:03:00.000Z"


@pytest.mark.parametrize(
    "metrics",
    [
        [error(0, 3_100), error(1, 3_100)],
        [error(0, 3_100), error(1, 3_100), error(2, 3_000), error(3, 3_100)],
        [error(number, 3_100, count=29) for number in range(5)],
        [error(number, None) for number in range(5)],
        [error(number, 9_000, model="linear_svm") for number in range(5)],
        [error(number, 9_000, model_version=1) for number in range(5)],
        [error(number, 9_000) for number in range(-5, 0)],
        [error(0, 9_000)] * 3,
        [drift(number, "interval_width", 5.0) for number in range(5)],
        [drift(number, "mileage", 5.0) for number in range(5)],
        [drift(number, "prediction", 0.3, chance=0.4) for number in range(5)],
    ],
    ids=[
        "too few", "not in a row", "too few prices", "no error", "a member", "another version",
        "before it served", "one window told thrice", "a width", "a single input", "chance",
    ],
)  # fmt: skip
def test_what_says_nothing_is_not_told(metrics):
    assert told(metrics) == []


def test_drift_of_the_prices_and_of_enough_inputs_is_told_with_what_drifted():
    metrics = [
        drift(number, feature, psi)
        for number in range(3)
        for feature, psi in {"prediction": 0.4, "mileage": 0.3, "make": 0.5, "year": 0.1}.items()
    ]

    inputs, prediction = told(metrics)

    assert (inputs.what, inputs.value, inputs.bound) == ("inputs", 2, 2)
    assert inputs.features == ["make", "mileage"]
    assert (prediction.what, prediction.value, prediction.bound) == ("prediction", 0.4, 0.25)


def test_nothing_is_said_of_errors_where_those_on_held_out_cars_are_unknown():
    metrics = [error(number, 9_000) for number in range(5)]
    assert degradations(metrics, [], SERVES, None, BOUNDS) == []


def test_the_same_is_told_again_after_the_cool_down_alone():
    metrics = [error(number, 9_000) for number in range(25)]

    ends = [one.window_end for one in told(metrics)]

    assert ends == [minute(3), minute(13), minute(23)]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.data())
def test_whenever_and_however_often_it_is_looked_the_log_tells_the_same(beyond, data):
    metrics = [error(number, 9_000 if bad else 1_000) for number, bad in enumerate(beyond)]
    at_once = told(metrics)

    log: list[events.Recorded] = []
    seen = 0
    while seen < len(metrics):
        seen += data.draw(st.integers(1, 5))
        # Two that look at the same time, or one that dies before it knows that it told.
        for _ in range(data.draw(st.integers(1, 2))):
            found = told(metrics[:seen], log)
        log += recorded(found)
        assert told(metrics[:seen], log) == []

    assert [record.event for record in log] == at_once


def test_what_serves_and_since_when_is_in_the_log():
    assert serving(MODELS) == Serving(2, NOON + timedelta(seconds=5), "run-2")
    assert serving(MODELS[:2]) is None
