"""The tables and bounds of `make bench-serving`, by figures made up."""

from __future__ import annotations

import pytest

from tests.benchmarks.serving import report
from tests.benchmarks.serving.results import (
    PLAIN,
    RELAY,
    SERVING,
    Bound,
    Drain,
    Latency,
    Measured,
    bounds,
)


def measured(name: str, p50: float, p99: float, drain_rate: float, backlog: int = 200_000) -> Measured:
    latencies = tuple(Latency(rate, (p50, p99, 2 * p99), 3 * p99, 100) for rate in (50, 200, 1_000))
    drains = (Drain(50_000, 50_000 / drain_rate), Drain(backlog, backlog / drain_rate))
    return Measured(name, latencies, drains, 100.0, 1_000_000)


def broken(*found: Measured) -> list[str]:
    return [one.what for one in bounds(found) if not one.holds]


def test_all_bounds_hold_of_a_server_that_is_as_fast_as_it_must_be() -> None:
    found = measured(RELAY, 1, 5, 30_000), measured(PLAIN, 2, 8, 8_000), measured(SERVING, 5, 20, 12_000)
    assert len(bounds(found)) == 6
    assert broken(*found) == []


def test_each_bound_is_told_apart() -> None:
    others = measured(RELAY, 1, 5, 30_000), measured(PLAIN, 2, 8, 8_000)
    assert broken(*others, measured(SERVING, 5.1, 20, 12_000)) == ["p50 at 200 requests/s, ms"]
    assert broken(*others, measured(SERVING, 5, 61, 12_000)) == [
        "p99 at 200 requests/s, ms",
        "… to that of the relay",
        "p99 at 1,000 requests/s, ms",
    ]
    assert broken(*others, measured(SERVING, 5, 20, 9_000)) == [
        "drain of a backlog, requests/s",
        "… to that of plain Python",
    ]


def test_what_was_not_measured_is_not_judged() -> None:
    assert bounds([measured(RELAY, 1, 5, 30_000)]) == []
    judged = bounds([measured(SERVING, 5, 20, 9_000, backlog=60_000)])
    assert [one.what for one in judged] == [
        "p50 at 200 requests/s, ms",
        "p99 at 200 requests/s, ms",
        "p99 at 1,000 requests/s, ms",
    ]


@pytest.mark.parametrize(
    ("bound", "row"),
    [
        (Bound("p99", 21.04, most=20), ["p99", "21.0", "-", "20", "NO"]),
        (Bound("drain", 12_345.6, least=10_000), ["drain", "12,345.6", "10,000", "-", "yes"]),
    ],
)
def test_a_bound_is_told_with_what_was_found(bound: Bound, row: list[str]) -> None:
    assert report.judged([bound]) == [row]


def test_contestants_stand_together_by_rate() -> None:
    rows = report.latencies([measured(RELAY, 1, 5, 30_000), measured(SERVING, 5, 20, 9_000)])
    assert [row[:2] for row in rows[:3]] == [[RELAY, "50"], [SERVING, "50"], [RELAY, "200"]]
    assert rows[0][2:] == ["1.0", "5.0", "10.0", "15.0", "100"]
    assert report.drains([measured(SERVING, 5, 20, 10_000)]) == [
        [SERVING, "50,000", "5.0", "10,000", "", ""],
        [SERVING, "200,000", "20.0", "10,000", "100", "1"],
    ]
