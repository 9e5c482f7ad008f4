from __future__ import annotations

from typing import Any

import pytest

from control_plane.exporter.windows import ErrorWindows
from control_plane.records import ErrorWindow, metric
from tests.unit.control_plane.stories import NOON
from tests.unit.exporter import records
from tests.unit.exporter.exposition import series

NOW = NOON.timestamp()
STACK = '{model="stack",model_version="7"}'


def window(minute: int = 0, **parts: Any) -> ErrorWindow:
    found = metric(records.window(minute, **parts))
    assert isinstance(found, ErrorWindow)
    return found


@pytest.fixture
def windows() -> ErrorWindows:
    return ErrorWindows(versions=2, age=3600)


def test_each_figure_of_a_window_is_a_metric_in_base_units(windows):
    windows.take(window())
    assert series(windows.collect(NOW)) == {
        'live_rmse_dollars{model="stack",model_version="7"}': 2_500.5,
        f"live_mae_dollars{STACK}": 1_700,
        f"live_mape_ratio{STACK}": 0.08,
        f"live_bias_dollars{STACK}": -12.5,
        f"live_r2{STACK}": 0.97,
        f"live_coverage_ratio{STACK}": 0.9,
        f"live_window_outcomes{STACK}": 40,
        f"live_window_end_timestamp_seconds{STACK}": NOW,
    }


def test_a_figure_that_is_null_has_no_sample(windows):
    windows.take(window(model="linear_svm", coverage=None, r2=None))
    found = series(windows.collect(NOW))
    assert not [name for name in found if name.startswith(("live_r2", "live_coverage"))]
    assert found['live_rmse_dollars{model="linear_svm",model_version="7"}'] == 2_500.5


def test_the_window_that_ended_last_counts_in_whatever_order_they_come(windows):
    for minute, rmse in ((1, 100.0), (2, 200.0), (1, 100.0)):
        windows.take(window(minute, rmse=rmse))
    assert series(windows.collect(NOW), "live_rmse_dollars") == {f"live_rmse_dollars{STACK}": 200}


def test_a_window_that_is_told_again_changes_nothing(windows):
    windows.take(window())
    before = series(windows.collect(NOW))
    windows.take(window())
    assert series(windows.collect(NOW)) == before


def test_a_window_is_live_for_its_time_and_then_gone(windows):
    windows.take(window(0, version=7))
    windows.take(window(30, version=8))
    assert len(series(windows.collect(NOW + 3599), "live_rmse_dollars")) == 2
    assert list(series(windows.collect(NOW + 3600), "live_rmse_dollars")) == [
        'live_rmse_dollars{model="stack",model_version="8"}'
    ]


def test_only_the_versions_that_were_measured_last_keep_series(windows):
    for version in (1, 2, 3, 2):
        windows.take(window(version=version))
        windows.take(window(version=version, model="linear_svm"))
    found = series(windows.collect(NOW), "live_rmse_dollars")
    assert {name.split('model_version="')[1][0] for name in found} == {"2", "3"}
    assert len(found) == 4
