"""The ledger's arithmetic: what is answered, what is a hole, and where a later reader may begin."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_apps.serving.ledger import Marker, PartitionLedger, Resume


def ledger_of(listings: str, answers: list[int]) -> PartitionLedger:
    """Read listings ("r" a request, "p" a price) from offset 0 on, then the answers to these offsets."""
    ledger = PartitionLedger.from_marker(Marker(0, 0))
    for offset, kind in enumerate(listings):
        ledger.read_listing(offset, needs_answer=kind == "r")
    for position, offset in enumerate(answers):
        ledger.read_answer(position, offset, epoch=1)
    return ledger


@pytest.mark.parametrize(
    ("listings", "answers", "resume"),
    [
        ("", [], Resume(0)),
        ("rrr", [], Resume(0)),
        ("rrr", [0, 1, 2], Resume(3)),
        ("rrr", [0, 1], Resume(2)),
        ("rprp", [0, 2], Resume(4)),
        ("ppp", [], Resume(3)),
        ("prr", [], Resume(1)),
    ],
)
def test_answering_goes_on_at_the_first_request_without_an_answer(listings, answers, resume):
    assert ledger_of(listings, answers).resume() == resume


def test_a_hole_is_where_answering_goes_on_and_what_is_answered_above_it_is_passed_over():
    assert ledger_of("rrrrrr", [0, 2, 3]).resume() == Resume(1, ((2, 4),))


def test_two_holes_leave_two_ranges_to_pass_over():
    assert ledger_of("rrrrrrr", [0, 2, 4, 5]).resume() == Resume(1, ((2, 3), (4, 6)))


def test_prices_within_answered_ranges_are_part_of_them():
    assert ledger_of("rrpprr", [1, 4]).resume() == Resume(0, ((1, 5),))


def test_an_answer_read_before_its_request_counts_all_the_same():
    ledger = PartitionLedger.from_marker(Marker(0, 0))
    ledger.read_answer(0, 0, epoch=1)
    ledger.read_answer(1, 1, epoch=1)
    ledger.read_listing(0, needs_answer=True)
    assert ledger.resume() == Resume(1, ((1, 2),))


def test_a_second_answer_changes_nothing():
    ledger = ledger_of("rrr", [0, 1])
    before = (ledger.resume(), ledger.marker().listings)
    ledger.read_answer(2, 0, epoch=1)
    assert (ledger.resume(), ledger.marker().listings) == before


def test_the_late_append_of_a_woken_server_does_not_move_the_ledger_back():
    ledger = ledger_of("rrrr", [0, 1, 2, 3])
    ledger.read_answer(4, 1, epoch=0)
    assert ledger.resume() == Resume(4)


def test_offsets_without_a_record_are_not_waited_for():
    ledger = PartitionLedger.from_marker(Marker(0, 0))
    ledger.read_listing(0, needs_answer=True)
    ledger.read_listing(3, needs_answer=True)  # 1 and 2 are a transaction's marks
    ledger.listings_end(5)
    ledger.read_answer(0, 0, epoch=1)
    ledger.read_answer(1, 3, epoch=1)
    assert ledger.marker() == Marker(5, 2)


def test_the_marker_stands_at_the_hole_with_all_answers_from_there_on_behind_it():
    ledger = ledger_of("rrr", [0])
    ledger.read_answer(1, 2, epoch=1)
    assert ledger.marker() == Marker(1, 0)


def test_answers_to_requests_that_are_not_there_are_forgotten_when_told():
    ledger = ledger_of("r", [0, 10**12])
    assert ledger.marker() == Marker(1, 1)
    assert ledger.forget_answers_to_nothing() == [10**12]
    assert ledger.marker() == Marker(1, 2)


def test_the_highest_epoch_is_remembered():
    ledger = PartitionLedger.from_marker(Marker(0, 0))
    for position, epoch in enumerate([3, 7, 5]):
        ledger.read_answer(position, position, epoch)
    assert ledger.epoch == 7


@dataclass(frozen=True)
class History:
    """What two topics hold and an order in which a reader meets it: True is the next listing."""

    listings: list[bool]
    answers: list[int]
    order: list[bool]


@st.composite
def histories(draw: st.DrawFn) -> History:
    listings = draw(st.lists(st.booleans(), max_size=30))
    requests = [offset for offset, needs_answer in enumerate(listings) if needs_answer]
    answers = draw(st.lists(st.sampled_from(requests), max_size=40)) if requests else []
    order = draw(st.permutations([True] * len(listings) + [False] * len(answers)))
    return History(listings, answers, order)


def read(ledger: PartitionLedger, history: History, order: list[bool]) -> None:
    for is_listing in order:
        if is_listing and ledger.listed < len(history.listings):
            ledger.read_listing(ledger.listed, needs_answer=history.listings[ledger.listed])
        elif not is_listing and ledger.answers_read < len(history.answers):
            ledger.read_answer(ledger.answers_read, history.answers[ledger.answers_read], epoch=1)


def answered_by(resume: Resume, history: History) -> set[int]:
    """Return what a query that begins as told would answer."""
    above = [offset for offset, needed in enumerate(history.listings) if needed and offset >= resume.offset]
    return {offset for offset in above if not any(a <= offset < b for a, b in resume.answered)}


@given(histories())
def test_a_successor_answers_exactly_what_has_no_answer(history):
    ledger = PartitionLedger.from_marker(Marker(0, 0))
    read(ledger, history, history.order)
    read(ledger, history, [True] * len(history.listings))
    needed = {offset for offset, needed in enumerate(history.listings) if needed}
    assert answered_by(ledger.resume(), history) == needed - set(history.answers)


@given(histories(), st.integers(0, 70))
def test_reading_on_from_any_marker_ends_in_the_same_state(history, at):
    whole = PartitionLedger.from_marker(Marker(0, 0))
    read(whole, history, history.order[:at])
    later = PartitionLedger.from_marker(whole.marker())
    everything = [True] * len(history.listings) + [False] * len(history.answers)
    read(whole, history, everything)
    read(later, history, everything)
    assert answered_by(later.resume(), history) == answered_by(whole.resume(), history)
