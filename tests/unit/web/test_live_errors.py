from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.records import ErrorWindow
from control_plane.web import live_errors
from control_plane.web.live_errors import LiveErrors

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOON_S = NOON.timestamp()


def window(minute: int, version: int = 1, model: str = "stack", rmse: float | None = 3000.0, **parts: Any):
    end = parts.pop("end", NOON + timedelta(minutes=minute))
    fields: dict[str, Any] = {
        "count": 10,
        "rmse": rmse,
        "mae": 2000.0,
        "mape": 0.1,
        "bias": -5.0,
        "r2": 0.9,
        "coverage": 0.9,
        "window_start": end - timedelta(minutes=1),
    }
    return ErrorWindow(window_end=end, model_version=version, model=model, **fields | parts)


def shown(*windows: ErrorWindow, keep_s: float = 3600) -> dict[str, Any]:
    errors = LiveErrors(keep_s)
    for one in windows:
        errors.take(one)
    return errors.shown()


def test_without_windows_there_is_nothing_to_draw():
    assert shown() == {"length_s": None, "times": [], "series": {}, "latest": [], "totals": {}}


def test_each_version_has_a_line_with_gaps_where_it_has_no_window():
    told = shown(
        window(2, version=2, rmse=2500), window(0), window(1, rmse=3100), window(1, version=2, rmse=2600)
    )
    assert told["times"] == [NOON_S, NOON_S + 60, NOON_S + 120]
    assert told["series"]["1"]["rmse"] == [3000, 3100, None]
    assert told["series"]["2"]["rmse"] == [None, 2600, 2500]
    assert told["length_s"] == 60


def test_members_are_in_the_last_windows_only_the_newest_version_and_its_stack_first():
    told = shown(
        window(0, model="linear_svm"),
        window(0),
        window(1, version=2, model="linear_svm"),
        window(1, version=2),
    )
    assert [(row["model_version"], row["model"]) for row in told["latest"]] == [
        (2, "stack"),
        (2, "linear_svm"),
        (1, "stack"),
        (1, "linear_svm"),
    ]
    assert list(told["series"]) == ["1", "2"]


def test_a_member_that_has_no_window_beside_its_stack_says_nothing_now():
    told = shown(window(0, model="linear_svm"), window(0), window(1))
    assert [row["model"] for row in told["latest"]] == ["stack"]


def test_a_window_that_is_published_again_counts_once():
    told = shown(window(0), window(0), window(1))
    assert told["totals"] == {"1": {"count": 20, "rmse": 3000.0, "mae": 2000.0}}


def test_sums_weigh_each_window_by_its_prices():
    told = shown(window(0, rmse=1000, count=1), window(1, rmse=3000, count=3))
    assert told["totals"]["1"]["rmse"] == pytest.approx(math.sqrt((1000**2 + 3 * 3000**2) / 4), abs=0.01)


def test_no_price_counts_twice_where_windows_overlap():
    slides = [
        window(minute, window_start=NOON + timedelta(minutes=minute - 3), count=count)
        for minute, count in ((3, 9), (4, 8), (5, 7), (6, 6))
    ]
    told = shown(*slides)
    assert told["totals"]["1"]["count"] == 15
    assert len(told["times"]) == 4


def test_of_windows_of_several_lengths_the_shortest_is_drawn():
    hour = window(2, window_start=NOON - timedelta(hours=1), rmse=1.0)
    assert shown(window(1), hour, window(2))["series"]["1"]["rmse"] == [3000, 3000]


def test_memory_is_bounded_in_time_and_in_number(monkeypatch):
    assert shown(window(0), window(61))["times"] == [NOON_S + 61 * 60]
    monkeypatch.setattr(live_errors, "MOST_WINDOWS", 2)
    assert shown(window(0), window(2), window(1))["times"] == [NOON_S + 60, NOON_S + 120]


def test_a_measure_that_is_null_is_a_gap():
    told = shown(window(0, rmse=None, coverage=None))
    assert told["series"]["1"]["rmse"] == [None]
    assert told["totals"] == {}
