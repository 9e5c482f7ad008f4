"""What a seed means: the same run again, and over a campaign every fault."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import FAULTS
from tests.chaos.plan import planned

LASTING = {name: fault.lasts for name, fault in FAULTS.items()}


@given(st.integers(min_value=0))
def test_the_same_seed_gives_the_same_faults_at_the_same_moments(seed):
    assert planned(seed, LASTING) == planned(seed, dict(reversed(LASTING.items())))


@given(st.integers(min_value=0))
def test_faults_come_while_requests_do_and_last_as_long_as_they_may(seed):
    plan = planned(seed, LASTING)
    assert 15 <= plan.seconds <= 25
    assert 100 <= plan.rate <= 200
    assert [one.at_s for one in plan.injections] == sorted(one.at_s for one in plan.injections)
    for one in plan.injections:
        least, most = LASTING[one.fault]
        assert 0 < one.at_s < plan.seconds
        assert least <= one.seconds <= most


def test_as_many_seeds_in_a_row_as_there_are_faults_have_all_of_them():
    plans = [planned(seed, LASTING) for seed in range(100, 100 + len(LASTING))]
    assert {one.fault for plan in plans for one in plan.injections} == set(LASTING)


def test_most_runs_have_one_fault_and_some_have_more():
    sizes = [len(planned(seed, LASTING).injections) for seed in range(200)]
    assert set(sizes) == {1, 2, 3}
    assert sizes.count(1) > 60


def test_a_campaign_of_one_fault_has_it_once_a_run():
    assert [one.fault for one in planned(5, {"only": (0, 0)}).injections] == ["only"]
