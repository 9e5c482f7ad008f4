"""What is said of a shadow beside what was served."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from control_plane.records import Answer
from control_plane.shadow_view import lines
from control_plane.shadowed import Errors, Pairs


def answer(offset: int, price: float | None, version: int = 1, request_id: str | None = None) -> Answer:
    return Answer(
        request_id=request_id or f"r-{offset}",
        status="rejected" if price is None else "predicted",
        price=price,
        low=price,
        high=price,
        members=None,
        model_version=version,
        reason=None,
        partition=0,
        offset=offset,
        epoch=1,
        requested_at=datetime(2026, 1, 31, tzinfo=UTC),
    )


def paired(served: list[Answer], shadow: list[Answer]) -> Pairs:
    pairs = Pairs(version=2)
    for one in shadow:
        pairs.take_shadow(one)
    for one in served:
        pairs.take_served(one)
    return pairs


SERVED = [answer(0, 100.0), answer(1, 200.0), answer(2, 300.0), answer(3, None), answer(4, 500.0)]
SHADOW = [answer(0, 100.0, 2), answer(1, 220.0, 2), answer(2, 300.0, 2), answer(3, 400.0, 2)]


def test_prices_are_compared_over_the_requests_that_both_answered():
    found = paired(SERVED, SHADOW).compared({})
    assert (found.both, found.rejected_otherwise, found.priced) == (4, 1, 0)
    assert found.differing == pytest.approx(1 / 3)
    assert (found.difference, found.most) == (0, pytest.approx(0.1))
    assert found.served is found.shadow is None


def test_errors_are_over_the_same_cars():
    found = paired(SERVED, SHADOW).compared({"r-1": 210.0, "r-2": 290.0, "r-3": 1.0, "r-4": 1.0, "x": 1.0})
    assert found.priced == 2
    assert found.served == Errors(rmse=pytest.approx(10), mae=pytest.approx(10), bias=pytest.approx(0))
    assert found.shadow == Errors(rmse=pytest.approx(10), mae=pytest.approx(10), bias=pytest.approx(10))


def test_the_first_answer_counts_and_another_version_does_not():
    shadow = [answer(0, 1.0, version=3), answer(0, 100.0, 2), answer(0, 900.0, 2)]
    found = paired([SERVED[0], answer(0, 800.0)], shadow).compared({"r-0": 100.0})
    assert found.both == 1
    assert found.shadow == found.served == Errors(0, 0, 0)


def test_it_is_told_in_sentences():
    found = paired(SERVED, SHADOW).compared({"r-1": 210.0})
    assert list(lines(2, found)) == [
        "model version 2 as a shadow: 4 requests that were also served",
        "prices: 33.3% differ by more than 1 %; the median difference is 0.0%, the greatest 10.0%",
        "1 requests were rejected by one of the two alone",
        "errors over the 1 cars whose real price came:",
        "  served  RMSE $10, MAE $10, bias $-10",
        "  shadow  RMSE $10, MAE $10, bias $+10",
    ]
    nothing = paired([], []).compared({})
    assert list(lines(2, nothing))[1:] == ["no real price of them came yet, so nobody knows which is better"]
