"""Rates, growth and tables of `make bench-monitoring`, by samples made up."""

from __future__ import annotations

import pytest

from tests.benchmarks.monitoring import results
from tests.benchmarks.monitoring.results import Drained, Sample

MIB = 2**20


def drained(outcomes: list[int], state_rows: list[int]) -> Drained:
    samples = tuple(
        Sample(10.0 * (number + 1), done, rows, 5 * MIB, 900 * MIB, 9.0 * (number + 1))
        for number, (done, rows) in enumerate(zip(outcomes, state_rows, strict=True))
    )
    threads = {"tasks of Spark": 75.0, "Python": 24.5, "VM Thread": 0.4, "Finalizer": 0.1}
    steps = {"outcomes": {"addBatch": 40.0, "walCommit": 1.0}, "windows": {"addBatch": 10.0, "getBatch": 0.5}}
    return Drained(samples, threads, steps)


def test_the_start_and_the_wait_at_the_end_are_no_part_of_the_rate() -> None:
    assert drained([0, 0, 1_000, 61_000, 121_000, 121_000], [0] * 6).rate == pytest.approx(6_000)


def test_what_is_held_is_compared_by_thirds() -> None:
    flat = drained([1, 2, 3, 4, 5, 6], [5, 80, 100, 90, 95, 100])
    assert flat.growth == {"state_rows": 1.0, "state_bytes": 1.0, "resident_bytes": 1.0}
    assert drained([1, 2, 3], [100, 200, 300]).growth["state_rows"] == 1.5
    assert drained([1, 2], [100, 200]).growth == {}


def test_a_table_has_rates_between_its_rows() -> None:
    rows = results.samples(drained([0, 1_000, 61_000, 121_000], [0, 7, 8, 9_000]), most=2)
    assert rows == [
        ["10", "0", "0", "0", "5", "900", "0.90"],
        ["30", "61,000", "3,050", "8", "5", "900", "0.90"],
        ["40", "121,000", "6,000", "9,000", "5", "900", "0.90"],
    ]


def test_threads_that_did_little_are_taken_together() -> None:
    assert results.threads(drained([1], [1])) == [
        ["tasks of Spark", "75.0", "75%"],
        ["Python", "24.5", "24%"],
        ["all others", "0.5", "0%"],
    ]


def test_steps_stand_side_by_side_by_query() -> None:
    assert results.steps(drained([1], [1])) == [
        ["addBatch", "40.0", "10.0"],
        ["walCommit", "1.0", "0.0"],
        ["getBatch", "0.0", "0.5"],
    ]
