"""Runs one after the other on the same topics and the same checkpoint, each judged when all is through."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition

from control_plane import topics
from control_plane.patience import patiently
from control_plane.recomputation_view import verified
from tests.chaos.monitoring.application import HORIZON_MS, LEAD_S
from tests.chaos.monitoring.plan import ASKED, BOTH, JVM, PYTHON
from tests.chaos.monitoring.world import PARTITIONS, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from control_plane.recomputation import Verdict
    from tests.chaos.monitoring.application import Application
    from tests.chaos.monitoring.plan import Kill, Plan

_EVERY_S = 0.05
_LATEST_S = 3.0  # prices come up to so long after their answers, or before
_PATIENCE_S = 240.0
_LOOK_S = 0.05
_MISTAKES = 0.02


@dataclass(frozen=True)
class Run:
    """A run that was done; ``repeated`` are outcomes that were written again, ``problems`` what was wrong."""

    plan: Plan
    outcomes: int
    windows: int
    repeated: int
    seconds: float
    problems: list[str]


@dataclass
class _Traffic:
    """Answers and prices at a steady rate, out of step with each other, and mistakes among them."""

    world: World
    plan: Plan
    wanted: set[str] = field(default_factory=set)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Send while the context lasts; then send what is still due."""
        stop = threading.Event()
        thread = threading.Thread(target=self._flow, args=(stop,), name="traffic")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _flow(self, stop: threading.Event) -> None:
        drawn, begun, made = random.Random(self.plan.seed), time.monotonic(), 0
        due: list[tuple[float, Callable[[], object]]] = []
        while not stop.wait(_EVERY_S):
            now = time.monotonic()
            while made < (now - begun) * self.plan.rate:
                due += self._a_request(f"{self.plan.seed}-{made}", drawn, now)
                made += 1
            due = _sent(due, now)
        _sent(due, float("inf"))
        self.world.flush()

    def _a_request(
        self, request: str, drawn: random.Random, now: float
    ) -> list[tuple[float, Callable[[], object]]]:
        if drawn.random() < _MISTAKES:
            self.wanted |= self.world.mistakes(request)
            return []
        self.wanted.add(request)
        dollars = drawn.uniform(3_000, 60_000)
        answer, price = (now + drawn.uniform(0, _LATEST_S) for _ in range(2))
        return [
            (answer, lambda: self.world.answer(request)),
            (price, lambda: self.world.price(request, dollars)),
        ]


def _sent(
    due: list[tuple[float, Callable[[], object]]], now: float
) -> list[tuple[float, Callable[[], object]]]:
    """Send what is due and return the rest."""
    for at, send in due:
        if at <= now:
            send()
    return [one for one in due if one[0] > now]


def campaign(application: Application, kafka: str, plans: Iterable[Plan]) -> Iterator[Run]:
    """Do a run for each plan; the application is started for the first, and ended after the last."""
    known, garbage, ledger = set[str](), 0, _Ledger(kafka)
    application.start()
    try:
        for plan in plans:
            begun, before = time.monotonic(), ledger.written() - len(known) - garbage
            traffic = _Traffic(World(kafka, plan.seed), plan)
            with traffic.flowing():
                for kill in plan.kills:
                    _perform(kill, application, ledger)
            known |= traffic.wanted
            garbage += traffic.world.garbage
            verdict, problems = _judged(kafka, known)
            yield Run(
                plan,
                len(traffic.wanted),
                verdict.windows,
                ledger.written() - len(known) - garbage - before,
                time.monotonic() - begun,
                problems,
            )
    finally:
        application.end()
        ledger.close()


def _perform(kill: Kill, application: Application, ledger: _Ledger) -> None:
    """Wait for the moment, kill, pause, and start again."""
    if kill.working:
        before, until = ledger.written(), time.monotonic() + _PATIENCE_S
        while ledger.written() == before and time.monotonic() < until:
            application.process.poll()
            time.sleep(_LOOK_S)
    time.sleep(kill.after_s)
    {
        BOTH: application.kill,
        PYTHON: application.kill_python_alone,
        JVM: application.kill_jvm_alone,
        ASKED: application.terminate,
    }[kill.fault]()
    time.sleep(kill.pause_s)
    application.start()


def _judged(kafka: str, known: set[str]) -> tuple[Verdict, list[str]]:
    """Wait until nothing is pending, and return what then differs."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        verdict = verified(kafka, horizon=HORIZON_MS / 1000, lead=LEAD_S, grace=0)
        problems = list(verdict.differences)
        if verdict.outcomes != len(known):
            problems.append(f"{verdict.outcomes:,} outcomes of {len(known):,}")
        if known and not verdict.windows:  # without one, nothing tells how long they are, and none is pending
            problems.append("no window was published")
        if verdict.pending:
            problems.append(f"{verdict.pending:,} windows never came")
        if not problems or time.monotonic() > until:
            return verdict, problems
        time.sleep(1)


class _Ledger:
    """How many records ``outcomes`` has."""

    def __init__(self, kafka: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "chaos"})

    def written(self) -> int:
        """Return how many there are."""
        places = [TopicPartition(topics.OUTCOMES, number) for number in range(PARTITIONS)]
        return patiently(  # a new topic may have no leader yet
            lambda: sum(self._consumer.get_watermark_offsets(place, timeout=30)[1] for place in places),
            timeout_s=30,
        )

    def close(self) -> None:
        """Leave Kafka before it ends: its client complains loudly of one that has gone."""
        self._consumer.close()
