from __future__ import annotations

import json

import pytest

from control_plane import records
from spark_apps.drift.reference import CategoryBins, ErrorByWidth, NumberBins, Reference
from spark_apps.monitoring.drift import first_window
from spark_apps.monitoring.drift_records import Span, drifts, estimates

SPAN = Span(1_769_860_800_000, 1_769_861_100_000)  # 12:00 to 12:05
REFERENCE = Reference(
    numbers={"mileage": NumberBins(edges=(10_000.0, 50_000.0), counts=(300, 400, 200), missing=100)},
    categories={"make": CategoryBins(labels=("ford",), counts=(600, 400), missing=0)},
    outputs={"prediction": NumberBins(edges=(20_000.0,), counts=(500, 500), missing=0)},
    errors=ErrorByWidth(edges=(), mae=(0.4,), rmse=(0.6,)),
)


def test_a_record_of_drift_is_flat_and_keeps_the_contract():
    tallies = [(3, "mileage", 0, 50), (3, "mileage", 1, 90), (3, "mileage", 3, 60)]

    [(key, value)] = drifts(SPAN, {3: REFERENCE}, tallies, at_least=200)

    assert key == "drift/2026-01-31T12:00:00.000Z/2026-01-31T12:05:00.000Z/3/mileage"
    found = records.metric(value.encode())
    assert isinstance(found, records.DriftWindow)
    assert (found.model_version, found.feature, found.count, found.missing) == (3, "mileage", 200, 0.3)
    assert found.psi > 0.25 > found.chance > 0
    assert set(json.loads(value)) == {"kind", *found.__struct_fields__}


def test_as_many_in_each_bin_as_before_is_no_drift():
    tallies = [(3, "make", 0, 120), (3, "make", 1, 80), (3, "prediction", 0, 100), (3, "prediction", 1, 100)]

    found = [records.metric(value.encode()) for _, value in drifts(SPAN, {3: REFERENCE}, tallies, 200)]

    assert [(one.feature, one.psi) for one in found] == [("make", 0.0), ("prediction", 0.0)]


def test_a_feature_with_few_values_has_no_drift():
    assert list(drifts(SPAN, {3: REFERENCE}, [(3, "make", 0, 120), (3, "make", 1, 79)], at_least=200)) == []


def test_a_record_of_estimates_is_flat_and_keeps_the_contract():
    rows = [
        {"model_version": version, "count": 7, "half_width": 3e3, "mae": 1.2e3, "rmse": 1.8e3}
        for version in (4, 3)
    ]

    found = list(estimates(SPAN, rows))

    assert [key.rsplit("/", 1)[-1] for key, _ in found] == ["3", "4"]
    first = records.metric(found[0][1].encode())
    assert isinstance(first, records.EstimateWindow)
    assert (first.count, first.half_width, first.mae, first.rmse) == (7, 3e3, 1.2e3, 1.8e3)


@pytest.mark.parametrize(
    ("published_to", "start"),
    [
        (None, 1_000),
        (1_000, 900),  # the last one once more: it may have been written in part
        (700, 600),
        (770, 600),  # of windows of another length
        (200, 500),  # no more than was to be caught up with
        (5_000, 4_900),  # by a clock that ran ahead: it is waited for
    ],
)
def test_where_drift_begins_after_a_start(published_to, start):
    assert first_window(1_099, published_to, 100, 5) == Span(start, start + 100)
