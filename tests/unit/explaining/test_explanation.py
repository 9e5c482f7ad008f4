"""From logarithms to dollars."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_apps.explaining.explanation import MemberPrice, percent, rows, stack_price

contributions = st.dictionaries(st.sampled_from(["mileage", "year", "make_name"]), st.floats(-2, 2))


@st.composite
def members(draw: st.DrawFn) -> MemberPrice:
    base, moved = draw(st.floats(7, 11)), draw(contributions)
    return MemberPrice(draw(st.floats(0.01, 2)), math.exp(base + math.fsum(moved.values())), base, moved)


@given(st.lists(members(), min_size=1, max_size=3), st.floats(-100, 100))
def test_the_base_and_all_dollars_add_up_to_the_price(said: list[MemberPrice], intercept: float) -> None:
    stack = stack_price(said, intercept)

    assert stack.price == pytest.approx(max(0, intercept + sum(one.weight * one.price for one in said)))
    assert stack.base + math.fsum(stack.dollars.values()) == pytest.approx(stack.price, rel=1e-6, abs=1e-6)


@given(st.lists(members(), min_size=1, max_size=3))
def test_all_percents_multiply_to_the_price_over_the_base(said: list[MemberPrice]) -> None:
    stack = stack_price(said, 0.0)

    factor = math.prod(1 + (percent(amount, stack) or 0) / 100 for amount in stack.dollars.values())

    assert factor == pytest.approx(stack.price / stack.base, rel=1e-6)


def test_with_one_member_percent_is_what_its_contribution_says() -> None:
    said = MemberPrice(1.0, math.exp(10 - 0.2 + 0.5), 10.0, {"mileage": -0.2, "year": 0.5})

    stack = stack_price([said], 0.0)

    assert percent(stack.dollars["mileage"], stack) == pytest.approx(100 * math.expm1(-0.2))
    assert stack.base == pytest.approx(math.exp(10))


def test_a_price_that_the_model_holds_at_zero_is_shared_out_as_such() -> None:
    stack = stack_price([MemberPrice(1.0, 50.0, 8.0, {"mileage": -3.0})], intercept=-100.0)

    assert stack.price == 0
    assert stack.base + stack.dollars["mileage"] == pytest.approx(0, abs=1e-9)
    assert percent(-1.0, stack) is None


def test_rows_begin_with_what_moved_most_and_have_the_listing_s_own_words() -> None:
    stack = stack_price([MemberPrice(1.0, math.exp(10.3), 10.0, {"variant": -0.2, "mileage": 0.5})], 0.0)

    first, second = rows(
        stack, {"variant": ("make_name", "trim_name"), "mileage": ("mileage",)}, {"mileage": "31,000"}
    )

    assert (first.attribute, first.value, first.columns) == ("mileage", "31,000", ("mileage",))
    assert (second.attribute, second.value) == ("variant", None)
    assert second.dollars < 0 < first.dollars
