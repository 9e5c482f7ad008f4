"""The judge itself: each way to break an invariant is found, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

from tests.chaos.verdict import Listing, Part, judge
from tests.chaos.witness import Record

FIRST = 10  # offset of the run's first request


def listing(offset: int, request_id: str) -> Listing:
    return Listing(offset, json.dumps({"kind": "request", "request_id": request_id, "listing": {}}).encode())


def answer(position: int, offset: int, request_id: str, **said: Any) -> Record:
    value = {
        "request_id": request_id,
        "status": "predicted",
        "price": 1.0,
        "low": 1.0,
        "high": 1.0,
        "members": {},
        "model_version": 1,
        "reason": None,
        "partition": 0,
        "offset": offset,
        "epoch": 1,
        "requested_at": "1970-01-01T00:00:01.000Z",
    }
    return Record(0, position, 1_000 + position, json.dumps(value | said).encode())


REQUESTS = [listing(FIRST, "a"), listing(FIRST + 1, "b"), listing(FIRST + 2, "c")]
SENT = {(0, FIRST + number): name for number, name in enumerate("abc")}
GOOD = [answer(5, FIRST, "a"), answer(6, FIRST + 1, "b"), answer(7, FIRST + 2, "c")]


def judged(predictions=GOOD, *, listings=REQUESTS, sent=SENT, live=None):
    part = Part(0, FIRST, listings, predictions)
    return judge([part], sent, predictions if live is None else live, {1})


def test_a_run_in_which_each_request_got_its_answer_has_no_problems():
    verdict = judged()
    assert verdict.problems == []
    assert (verdict.requests, verdict.lost, verdict.doubled, verdict.out_of_order) == (3, 0, 0, 0)
    assert verdict.worst_ms == 7, "by the clocks of the records"


def test_prices_need_no_answer():
    price = Listing(FIRST + 3, json.dumps({"kind": "price", "request_id": "a", "price": 1.0}).encode())
    assert judged(listings=[*REQUESTS, price]).problems == []


def test_a_request_without_an_answer_is_lost_in_the_middle_and_at_the_end():
    for missing in range(3):
        verdict = judged([one for number, one in enumerate(GOOD) if number != missing])
        assert verdict.lost == 1
        assert "1 requests that the broker had confirmed have no answer" in verdict.problems
        assert verdict.places == [(0, FIRST + missing)]


def test_a_confirmed_request_that_the_topic_has_lost_is_lost():
    verdict = judged(GOOD[:2], listings=REQUESTS[:2])
    assert verdict.lost == 1
    assert verdict.problems


def test_a_second_answer_is_counted_and_breaks_nothing():
    verdict = judged([*GOOD, answer(8, FIRST + 1, "b", epoch=2)])
    assert verdict.doubled == 1
    assert verdict.problems == []


def test_a_late_second_answer_to_a_request_of_the_run_before_is_counted_and_is_no_delay():
    verdict = judged([*GOOD, answer(9_000, FIRST - 1, "before")])
    assert (verdict.doubled, verdict.worst_ms, verdict.problems) == (1, 7, [])


def test_a_request_answered_at_two_offsets_breaks_the_rule():
    verdict = judged([GOOD[0], answer(6, FIRST + 1, "a"), GOOD[2]])
    assert verdict.doubled_by_rule == 1
    assert "1 requests have more than one answer by the rule" in verdict.problems


def test_answers_out_of_order_are_found():
    verdict = judged([GOOD[0], answer(6, FIRST + 2, "c"), answer(7, FIRST + 1, "b")])
    assert verdict.out_of_order == 1
    assert verdict.problems == ["1 answers came before those to earlier requests"]


def test_an_answer_that_is_not_what_was_asked_for_is_found():
    for wrong in ({"request_id": "x"}, {"status": "rejected", "price": None}, {"model_version": 9}):
        verdict = judged([*GOOD[:2], answer(7, FIRST + 2, **({"request_id": "c"} | wrong))])
        assert verdict.problems == ["1 answers are not what their requests ask for"]


def test_garbage_must_be_rejected():
    garbage = {**SENT, (0, FIRST + 2): ""}
    rejected = answer(7, FIRST + 2, "c", status="rejected", price=None)
    assert judged([*GOOD[:2], rejected], sent=garbage).problems == []
    assert judged(sent=garbage).problems


def test_what_the_live_reader_saw_otherwise_is_found():
    for live in (GOOD[:2], [*GOOD[:2], answer(7, FIRST + 2, "x")], [GOOD[1], GOOD[0], GOOD[2]]):
        assert any("live reader" in problem for problem in judged(live=live).problems)


def test_an_answer_in_another_partition_than_its_request_is_found():
    assert (
        "1 answers are to no request of their partition"
        in judged([*GOOD, answer(8, FIRST, "a", partition=1)]).problems
    )
