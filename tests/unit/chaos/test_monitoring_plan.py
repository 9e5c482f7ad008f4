"""Kills of the monitoring application: drawn by the seed, all faults in turn."""

from __future__ import annotations

from tests.chaos.monitoring.plan import FAULTS, planned


def test_a_seed_gives_the_same_run_again() -> None:
    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


def test_seeds_that_follow_each_other_begin_with_each_fault_in_turn() -> None:
    plans = [planned(seed) for seed in range(12)]
    assert [plan.kills[0].fault for plan in plans] == list(FAULTS * 2)
    assert {len(plan.kills) for plan in plans} == {1, 2, 3}


def test_most_kills_meet_an_application_at_work_and_some_one_that_starts() -> None:
    kills = [kill for seed in range(50) for kill in planned(seed).kills]
    assert 0.1 < sum(not kill.working for kill in kills) / len(kills) < 0.4
    assert all(kill.after_s <= 2.5 for kill in kills if kill.working)
