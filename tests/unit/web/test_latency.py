from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.web.latency import BIN_S, BINS, Bin, Latencies, bucket, upper_edge

NOW = 1_000_000.0
MS = 1000


@given(st.integers(0, 10_000_000))
def test_a_bucket_holds_its_latency_and_is_at_most_a_thirtysecond_wide(ms):
    edge = upper_edge(bucket(ms))
    assert ms <= edge <= ms + ms // 32
    assert bucket(edge) == bucket(ms)
    assert bucket(edge + 1) == bucket(ms) + 1


@given(st.lists(st.integers(0, 100_000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_never_told_too_short_nor_longer_than_the_worst(latencies, share):
    one = Bin()
    for ms in latencies:
        one.take(ms, rejected=False)
    told = one.percentile(share)
    assert told is not None
    assert sum(ms <= told for ms in latencies) >= share * len(latencies)
    assert told <= max(latencies)


def test_nothing_answered_has_no_latency():
    latencies = Latencies()
    assert latencies.series(NOW)["times"] == []
    assert latencies.summary(NOW) == {
        "answered": 0,
        "rejected": 0,
        "rate": 0.0,
        "p50": None,
        "p99": None,
        "worst": None,
    }


def test_the_last_minute_in_figures():
    latencies = Latencies()
    for second in range(120):
        latencies.take(round((NOW - 120 + second) * MS), 10 if second < 119 else 250, rejected=second == 119)
    told = latencies.summary(NOW)
    assert told["answered"] == pytest.approx(60, abs=BIN_S)
    assert (told["rejected"], told["p50"], told["worst"]) == (1, 10, 250)
    assert told["rate"] == 1.0


def test_a_column_a_figure_with_a_gap_where_nobody_asked():
    latencies = Latencies()
    for second in (1, 2, 12):
        latencies.take(round((NOW - 15 + second) * MS), 5 * second, rejected=False)
    told = latencies.series(NOW)
    assert told["times"] == [NOW - 10, NOW - 5, NOW]
    assert told["p50"] == [5, None, 60]
    assert told["worst"] == [10, None, 60]
    assert told["rate"] == [0.4, 0.0, 0.2]


def test_memory_is_bounded_and_what_is_older_is_left_out():
    latencies = Latencies()
    for number in range(3 * BINS):
        latencies.take(round((NOW + number * BIN_S) * MS), 1, rejected=False)
    latencies.take(round(NOW * MS), 1, rejected=False)
    assert len(latencies._bins) == BINS
    assert min(latencies._bins) == round(NOW) // BIN_S + 2 * BINS
