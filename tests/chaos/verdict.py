"""Whether the three invariants held in a run, from what was sent, seen and found in the topics. Pure.

Each request has exactly one answer by the reader's rule; answers are in request order in their partition; a
reader that follows live sees the same as one that reads afterwards.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from control_plane import records
from control_plane.answered import Counts, PartitionAudit
from spark_apps.serving.answers import first_answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.chaos.witness import Record


@dataclass(frozen=True)
class Listing:
    """A record of ``listings``."""

    offset: int
    value: bytes | None


@dataclass(frozen=True)
class Part:
    """What the topics hold of a run in one partition: all from its first record on."""

    partition: int
    first: int
    listings: Sequence[Listing]
    predictions: Sequence[Record]


@dataclass(frozen=True)
class Verdict:
    """The figures of a run; ``worst_ms`` is the latest answer by the broker's clock.

    ``problems`` says in words what broke an invariant: none when all held. ``places`` names the requests by
    (partition, offset) around which to look.
    """

    requests: int = 0
    lost: int = 0
    doubled: int = 0  # answers beyond the first in the topic, which the rule discards
    doubled_by_rule: int = 0
    out_of_order: int = 0
    worst_ms: int = 0
    problems: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)


def judge(
    parts: Sequence[Part], sent: Mapping[tuple[int, int], str], live: Sequence[Record], versions: set[int]
) -> Verdict:
    """Hold a run's records against the invariants.

    ``sent`` are the requests that the broker has confirmed, each with its id ("" for garbage); ``live`` what
    the live reader saw of the run, in its order; ``versions`` the model versions that may have answered.
    """
    counts = Counts()
    for part in parts:
        counts += _audited(part)
    kept = first_answers(
        ((record, answer) for part in parts for record in part.predictions if (answer := _answer(record))),
        lambda found: (found[1].partition, found[1].offset),
    )
    begins = {part.partition: part.first for part in parts}
    firsts = {
        (answer.partition, answer.offset): (record, answer)
        for record, answer in kept
        if answer.offset >= begins.get(answer.partition, 0)
    }
    found = firsts.values()
    ours = {place: firsts[place][1] for place in sent if place in firsts}
    named = Counter(answer.request_id for place, answer in ours.items() if sent[place])
    lost = sorted(set(sent) - set(firsts))
    wrong = sorted(place for place, answer in ours.items() if not _fits(answer, sent[place], versions))
    seen_otherwise = sorted(_differing(parts, live))
    doubled_by_rule = sum(named.values()) - len(named)
    counts.lost += counts.waiting
    told = {
        f"{len(lost)} requests that the broker had confirmed have no answer": lost,
        f"{counts.lost} records of listings have no answer": counts.lost,
        f"{doubled_by_rule} requests have more than one answer by the rule": doubled_by_rule,
        f"{len(wrong)} answers are not what their requests ask for": wrong,
        f"{len(seen_otherwise)} records of predictions looked otherwise to the live reader": seen_otherwise,
        **{problem: True for problem in counts.broken if "no answer" not in problem},
    }
    return Verdict(
        requests=counts.requests,
        lost=max(len(lost), counts.lost),
        doubled=counts.repeated + counts.aged_out,
        doubled_by_rule=doubled_by_rule,
        out_of_order=counts.out_of_order,
        worst_ms=max((record.written_ms - answer.requested_ms for record, answer in found), default=0),
        problems=[problem for problem, happened in told.items() if happened],
        places=[*lost, *wrong, *seen_otherwise],
    )


def _audited(part: Part) -> Counts:
    end = part.listings[-1].offset + 1 if part.listings else part.first
    audit = PartitionAudit(part.partition, part.first, end)
    for listing in part.listings:
        audit.take_listing(listing.offset, listing.value)
    for record in part.predictions:
        audit.take_prediction(record.value)
    return audit.close()


def _answer(record: Record) -> records.Answer | None:
    try:
        return records.answer(record.value)
    except records.RecordError:  # the audit counts it
        return None


def _fits(answer: records.Answer, request_id: str, versions: set[int]) -> bool:
    if answer.model_version not in versions:
        return False
    if not request_id:
        return answer.status == "rejected"
    return answer.request_id == request_id and answer.status == "predicted" and answer.price is not None


def _differing(parts: Sequence[Part], live: Sequence[Record]) -> set[tuple[int, int]]:
    """Return the places of ``predictions`` that the two readers did not see alike, or in another order."""
    differing: set[tuple[int, int]] = set()
    for part in parts:
        then = [record for record in live if record.partition == part.partition]
        if list(part.predictions) != then:
            differing |= {(one.partition, one.position) for one in set(part.predictions) ^ set(then)}
            differing |= {(part.partition, then[0].position)} if then and not differing else set()
    return differing
