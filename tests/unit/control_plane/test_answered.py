from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.answered import Counts, PartitionAudit

REQUEST = b'{"kind": "request", "request_id": "r", "listing": {}}'
PRICE = b'{"kind": "price", "request_id": "r", "price": 1.0}'


def answer(offset: int, *, partition: int = 0, epoch: int = 1, status: str = "rejected") -> bytes:
    nothing = dict.fromkeys(("price", "low", "high", "members", "reason"))
    return json.dumps(
        {
            "request_id": None,
            "status": status,
            "model_version": 1,
            "partition": partition,
            "offset": offset,
            "epoch": epoch,
            "requested_at": "2026-01-31T12:00:00.000Z",
            **nothing,
        }
    ).encode()


def counted(listings: str, *answers: bytes, first: int = 0) -> Counts:
    """Audit a partition whose records are requests (r), prices (p) and gaps in the offsets (space)."""
    audit = PartitionAudit(0, first, first + len(listings))
    for offset, kind in enumerate(listings, first):
        if kind != " ":
            audit.take_listing(offset, REQUEST if kind == "r" else PRICE)
    for value in answers:
        audit.take_prediction(value)
    return audit.close()


def test_each_request_answered_once_and_in_order_is_what_is_promised():
    found = counted("rpr r", answer(0), answer(2, status="predicted"), answer(4))
    assert found == Counts(requests=3, prices=1, answered=3, rejected=2)
    assert found.broken == []


def test_requests_at_the_end_wait_and_those_before_an_answered_one_are_lost():
    found = counted("rrrr", answer(2))
    assert (found.lost, found.waiting) == (2, 1)
    assert found.broken == ["2 requests have no answer though later ones have"]


def test_a_second_answer_is_counted_and_breaks_nothing():
    found = counted("rr", answer(0), answer(1), answer(0, epoch=2))
    assert (found.answered, found.repeated, found.out_of_order) == (2, 1, 0)
    assert found.broken == []


def test_a_first_answer_after_that_to_a_later_request_is_out_of_order():
    found = counted("rr", answer(1), answer(0))
    assert (found.answered, found.out_of_order) == (2, 1)
    assert found.broken


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (answer(1), "stray"),
        (answer(0, partition=1), "stray"),
        (answer(9), "stray"),
        (answer(2), "aged_out"),
        (answer(10), "newer"),
        (b"", "unreadable"),
        (b"\xff", "unreadable"),
        (b'{"offset": 5}', "unreadable"),
    ],
)
def test_what_is_no_answer_to_a_request_here_is_told_apart(value, name):
    if name == "stray" and value == answer(1):
        found = counted("rpr", value)
    else:
        found = counted("rrrrrr ", value, first=3)
    assert getattr(found, name) == 1
    assert found.answered == 0


@given(st.text("rp ", max_size=20), st.lists(st.integers(0, 19)))
def test_counts_are_those_of_a_slow_look(listings, answered):
    requests = {offset for offset, kind in enumerate(listings) if kind == "r"}
    firsts = list(dict.fromkeys(offset for offset in answered if offset in requests))
    last = max(firsts, default=-1)

    found = counted(listings, *map(answer, answered))

    assert found.answered == len(firsts)
    assert found.repeated == sum(offset in requests for offset in answered) - len(firsts)
    assert found.lost == sum(offset < last for offset in requests - set(firsts))
    assert found.lost + found.waiting + found.answered == found.requests == len(requests)
    assert found.out_of_order == sum(
        offset < max(firsts[:number], default=-1) for number, offset in enumerate(firsts)
    )
    assert found.newer == sum(offset >= len(listings) for offset in answered)


def test_partitions_add_up():
    assert Counts(requests=1, lost=2) + Counts(requests=3, repeated=1) == Counts(
        requests=4, lost=2, repeated=1
    )
