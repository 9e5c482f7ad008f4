from __future__ import annotations

import pytest

from control_plane.records import DriftWindow, ErrorWindow, EstimateWindow, RecordError, metric
from tests.unit.exporter.records import drift, estimate, window


@pytest.mark.parametrize(
    ("value", "kind"), [(window(), ErrorWindow), (drift(), DriftWindow), (estimate(), EstimateWindow)]
)
def test_each_kind_of_metric_is_read_as_what_it_is(value, kind):
    assert isinstance(metric(value), kind)


def test_a_metric_of_a_kind_that_is_not_known_is_none():
    assert metric(b'{"kind": "weather", "rain": true}') is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        b'{"kind": "error"}',
        b'{"kind": "drift"}',
        window(model=None),
    ],
)
def test_what_is_no_metric_is_refused(value):
    with pytest.raises(RecordError):
        metric(value)
