from __future__ import annotations

import pytest

from control_plane.exporter.drift import Drifts
from control_plane.records import DriftWindow, EstimateWindow, metric
from tests.unit.control_plane.stories import NOON
from tests.unit.exporter.exposition import series
from tests.unit.exporter.records import drift, estimate

NOW = NOON.timestamp()
MILEAGE = '{feature="mileage",model_version="7"}'


@pytest.fixture
def drifts() -> Drifts:
    return Drifts(versions=2, age=3600)


def take(drifts: Drifts, value: bytes) -> None:
    window = metric(value)
    assert isinstance(window, DriftWindow | EstimateWindow)
    drifts.take(window)


def test_each_figure_is_a_metric_in_base_units(drifts):
    take(drifts, drift())
    take(drifts, estimate())
    assert series(drifts.collect(NOW)) == {
        f"drift_psi{MILEAGE}": 0.3,
        f"drift_chance_psi{MILEAGE}": 0.05,
        f"drift_missing_ratio{MILEAGE}": 0.1,
        f"drift_window_values{MILEAGE}": 500,
        'estimated_rmse_dollars{model_version="7"}': 3_000,
        'estimated_mae_dollars{model_version="7"}': 2_000,
        'interval_half_width_dollars{model_version="7"}': 5_000,
    }


def test_the_window_that_ended_last_counts_in_whatever_order_they_come(drifts):
    for minute, figure in ((5, 1.0), (10, 2.0), (5, 3.0)):
        take(drifts, drift(minute, psi=figure))
        take(drifts, estimate(minute, rmse=figure))
    found = series(drifts.collect(NOW))
    assert (found[f"drift_psi{MILEAGE}"], found['estimated_rmse_dollars{model_version="7"}']) == (2, 2)


def test_a_window_is_live_for_its_time_and_then_gone(drifts):
    take(drifts, drift())
    take(drifts, estimate())
    assert series(drifts.collect(NOW + 3599)) != {}
    assert series(drifts.collect(NOW + 3600)) == {}


def test_only_the_versions_that_were_measured_last_keep_series(drifts):
    for version in (1, 2, 3):
        take(drifts, drift(version=version))
        take(drifts, estimate(version=version))
    assert set(series(drifts.collect(NOW), "drift_psi")) == {
        f'drift_psi{{feature="mileage",model_version="{version}"}}' for version in (2, 3)
    }
    assert len(series(drifts.collect(NOW), "estimated_rmse")) == 2
