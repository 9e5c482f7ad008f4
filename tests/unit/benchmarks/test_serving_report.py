"""The tables and bounds of `make bench-serving`, by figures made up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.serving import report
from tests.benchmarks.serving.results import (
    PLAIN,
    RELAY,
    SERVING,
    Bound,
    Drain,
    Idle,
    Latency,
    Measured,
    Minute,
    bounds,
    soak_bounds,
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


def minutes(*active_mb: float, late_ms: float = 5.0) -> list[Minute]:
    late = np.full(1_000, late_ms)
    return [Minute(late, int(mb * 1e6), 700_000_000) for mb in active_mb]


def broken_soak(found: list[Minute], *idle: Idle) -> list[str]:
    return [one.what for one in soak_bounds(found, idle) if not one.holds]


def test_a_soak_holds_where_memory_is_flat_and_answers_are_quick() -> None:
    idle = Idle("fresh", (0.04, 0.03), (850_000_000, 700_000_000))
    assert broken_soak(minutes(600, 700, 800, 800, 800, 810), idle) == []


def test_memory_that_grows_all_along_breaks_a_soak() -> None:
    assert broken_soak(minutes(600, 700, 800, 900, 1_000, 1_100)) == [
        "server: memory, last third to the middle one"
    ]


def test_the_slowest_of_a_thousand_answers_break_a_soak_wherever_they_are() -> None:
    found = minutes(*[700] * 6)
    found[2].late[:10] = 70
    assert broken_soak(found) == ["p99.9 of all answers, ms"]


def test_an_idle_server_is_held_to_its_core_and_memory() -> None:
    idle = Idle("after the load", (0.06, 0.01), (800_000_000, 950_000_000))
    assert broken_soak(minutes(700, 700, 700), idle) == [
        "server, after the load: % of a core",
        "standby, after the load: MB",
    ]


def test_a_soak_has_a_row_a_minute_and_one_for_each_idle_time() -> None:
    assert report.minutes(minutes(700, 712.4))[1] == [
        "2", "5.0", "5.0", "5.0", "5.0", "1,000", "712", "700",
    ]  # fmt: skip
    assert report.idle([Idle("fresh", (0.041, 0.032), (850_000_000, 700_000_000))]) == [
        ["fresh", "4.1", "850", "3.2", "700"]
    ]
