"""A campaign: many runs on the same servers, which are brought back to two between the runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.simulator.generator import listings
from control_plane.topic_ranges import Range, batches, ranges, reader
from control_plane.topics import LISTINGS, PREDICTIONS
from tests.chaos.faults import FAULTS
from tests.chaos.sender import Sender
from tests.chaos.system import PARTITIONS, ChaosError, until
from tests.chaos.verdict import Listing, Part, Verdict, judge
from tests.chaos.witness import Record, Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from confluent_kafka import Consumer, Message

    from tests.chaos.plan import Injection, Plan
    from tests.chaos.system import System

_PRESSURE = Path("/proc/pressure/cpu")
_ANSWERED_S = 180.0
_CAUGHT_UP_S = 10.0
_AFTERWARDS_S = 1.0  # requests go on so long after the last fault


@dataclass(frozen=True)
class Run:
    """A run that is over: ``parts`` is what it left in the topics, ``began`` and ``seconds`` its time.

    ``starved`` is the share of that time in which something on the machine waited for a processor: where it
    is high, delays are the machine's. None where the kernel does not tell.
    """

    plan: Plan
    verdict: Verdict
    parts: Sequence[Part]
    hit: Sequence[str]
    began: float
    seconds: float
    starved: float | None = None


def campaign(system: System, plans: Sequence[Plan]) -> Iterator[Run]:
    """Carry the plans out one after the other, and yield each run when it is judged.

    Raises :class:`ChaosError` when the servers do not come back to two.
    """
    asked = list(listings(200, seed=2))
    for listing in asked:
        del listing["price"]
    with Witness(system.kafka, PARTITIONS) as witness:
        for plan in plans:
            until(system.is_ready, "one server that leads and one that is warm")
            began, since, waited_s = time.time(), time.monotonic(), _waited_for_processor_s()
            system.hit.clear()
            parts, verdict = _carried_out(system, plan, asked, witness)
            seconds = time.monotonic() - since
            starved = (_waited_for_processor_s() - waited_s) / seconds if _PRESSURE.exists() else None
            yield Run(plan, verdict, parts, tuple(system.hit), began, seconds, starved)


def _waited_for_processor_s() -> float:
    """Return the seconds in which something waited for a processor, since the machine's start."""
    if not _PRESSURE.exists():
        return 0.0
    some = _PRESSURE.read_text().splitlines()[0]
    return int(some.rpartition("total=")[2]) / 1e6


def _carried_out(
    system: System, plan: Plan, asked: Sequence[dict[str, str]], witness: Witness
) -> tuple[list[Part], Verdict]:
    listed, answered = (_ends(system, topic) for topic in (LISTINGS, PREDICTIONS))
    seen, errors = len(witness.seen), len(witness.errors)
    sender = Sender(system.kafka, asked, run=f"run-{plan.seed}", seed=plan.seed, rate=plan.rate)
    with sender:
        failures = _with_faults(system, sender, plan)
    all_answered = _waited(lambda: sender.sent.keys() <= witness.answered)
    ready = _waited(system.is_ready)
    parts = _parts(system, listed, answered)

    def live() -> list[Record]:
        return [record for record in witness.seen[seen:] if record.position >= answered[record.partition]]

    _waited(lambda: len(live()) >= sum(len(part.predictions) for part in parts), _CAUGHT_UP_S)
    verdict = judge(parts, sender.sent, live(), set(system.versions))
    verdict.problems.extend(
        [
            *failures,
            *sender.failures,
            *witness.errors[errors:],
            *([] if all_answered else [f"not all were answered within {_ANSWERED_S:.0f} s"]),
            *([] if ready else ["the servers did not come back to two"]),
        ]
    )
    return parts, verdict


def _with_faults(system: System, sender: Sender, plan: Plan) -> list[str]:
    """Let the plan's faults happen while requests go on, and return what went wrong."""
    began = time.monotonic()

    def happen(injection: Injection) -> None:
        _sleep_until(began + injection.at_s)
        with FAULTS[injection.fault].happen(system, sender):
            _sleep_until(time.monotonic() + injection.seconds)

    with ThreadPoolExecutor(len(plan.injections)) as pool:
        happening = {one.fault: pool.submit(happen, one) for one in plan.injections}
    _sleep_until(max(began + plan.seconds, time.monotonic() + _AFTERWARDS_S))
    return [f"{fault}: {error}" for fault, one in happening.items() if (error := one.exception())]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _waited(holds: Callable[[], object], patience_s: float = _ANSWERED_S) -> bool:
    try:
        until(holds, "it", patience_s)
    except ChaosError:
        return False
    return True


def _ends(system: System, topic: str) -> dict[int, int]:
    with reader(system.kafka) as consumer:
        return {one.partition: one.end for one in ranges(consumer, topic)}


def _parts(system: System, listed: Mapping[int, int], answered: Mapping[int, int]) -> list[Part]:
    """Read what came to the topics since they had these ends."""
    with reader(system.kafka) as consumer:
        return [
            Part(
                number,
                listed[number],
                [
                    Listing(message.offset() or 0, message.value())
                    for message in _since(consumer, LISTINGS, number, listed[number])
                ],
                [Record.of(message) for message in _since(consumer, PREDICTIONS, number, answered[number])],
            )
            for number in range(PARTITIONS)
        ]


def _since(consumer: Consumer, topic: str, partition: int, first: int) -> Iterator[Message]:
    found = ranges(consumer, topic)[partition]
    for some in batches(consumer, Range(topic, partition, first, found.end)):
        yield from some
