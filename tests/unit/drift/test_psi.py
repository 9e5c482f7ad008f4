from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_apps.drift.psi import by_chance, psi

TALLY = st.lists(st.integers(0, 1000), min_size=5, max_size=5)


def test_the_index_of_a_worked_example():
    # 0.2 ln(0.6/0.4) for either bin
    assert psi((400, 600), (600, 400)) == pytest.approx(2 * 0.2 * np.log(1.5))


@given(TALLY, st.integers(1, 9))
def test_the_same_shares_have_not_drifted(tally, times):
    assert psi(tally, tally) == 0
    if min(tally):
        assert psi(tally, [times * count for count in tally]) == pytest.approx(0)


@given(TALLY, TALLY)
def test_the_index_is_finite_never_below_zero_and_the_same_both_ways(one, other):
    if min(*one, *other):
        assert psi(one, other) >= 0
    assert np.isfinite(psi(one, other))
    assert psi(one, other) == pytest.approx(psi(other, one))


def test_nothing_has_not_drifted_from_anything():
    assert psi((0, 0), (1, 2)) == 0
    assert by_chance((0, 0), (1, 2)) == 0
    assert by_chance((5, 0), (1, 0)) == 0


def test_one_window_in_a_hundred_exceeds_what_chance_is_said_to_make():
    source = np.random.default_rng(5)
    shares = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    beyond = 0
    for _ in range(4_000):
        before, now = source.multinomial(5_000, shares), source.multinomial(300, shares)
        beyond += psi(before.tolist(), now.tolist()) > by_chance(before.tolist(), now.tolist())

    assert 0.005 < beyond / 4_000 < 0.02
