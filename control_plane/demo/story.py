"""The demo's story, from the first batch to the last window.

It drives the system only as its users do, with batches into HDFS and requests and prices into Kafka, and
reads all it tells from the topics.
"""

from __future__ import annotations

import csv
import json
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, TopicPartition

from control_plane import audit, events, topics
from control_plane.demo import report
from control_plane.simulator.batches import deliver
from control_plane.simulator.traffic import Ledger, Traffic, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from control_plane.demo.view import View
    from control_plane.settings import Servers
    from control_plane.up import System

E = TypeVar("E", bound=events.Event)

_WIDEST = 60


class DemoError(RuntimeError):
    """The story broke off; the message says where and what to look at."""


@dataclass(frozen=True)
class Options:
    """How the story is told. ``deadline_s`` bounds each training with its rollout."""

    rate: float
    price_delay_s: float = 3
    quiet_s: float = 5
    deadline_s: float = 600


@dataclass(frozen=True)
class Outcome:
    """What the story saw: requests and answers, versions, prices sent, records of ``metrics``."""

    ledger: Ledger
    versions: list[int]
    prices_sent: int
    metrics: list[dict[str, Any]]


class ControlLog:
    """Follows the control topics in the background and lets the story wait for what it expects."""

    def __init__(self, servers: Servers) -> None:
        self.seen: list[events.Recorded] = []
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        names = [topics.CONTROL_BATCHES, topics.CONTROL_MODELS]
        self._source = audit.follow(servers.kafka_bootstrap_servers, names, self._stopped.is_set)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> ControlLog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        for recorded in self._source:
            with self._changed:
                self.seen.append(recorded)
                self._changed.notify_all()

    def find(self, kind: type[E], matches: Callable[[E], bool]) -> tuple[events.Recorded, E] | None:
        """Return the first event of a kind that matches, if it has come."""
        for recorded in list(self.seen):
            if isinstance(recorded.event, kind) and matches(recorded.event):
                return recorded, recorded.event
        return None

    def wait(self, seconds: float) -> None:
        """Wait until something new comes, for a while."""
        with self._changed:
            self._changed.wait(seconds)


class Story:
    """Tells how the batches of ``data`` become models that answer."""

    def __init__(self, system: System, view: View, options: Options) -> None:
        self.system = system
        self.servers = system.servers
        self.home = system.home
        self.view = view
        self.options = options
        self.phases: list[report.Phase] = []
        self._told = 0

    def tell(self, data: Path) -> Outcome:
        """Run it all. Raises :class:`DemoError` when something that it waits for does not come."""
        first, second = sorted(path for path in data.iterdir() if path.name.startswith("batch-"))[:2]
        with ControlLog(self.servers) as log:
            self.view.chapter("The first batch arrives while control plane, serving and monitoring start")
            self._deliver(first)
            with self.view.work("control plane, serving and monitoring start"):
                self.system.wait_until_ready()
            self.view.fact(f"all of this, live, in a browser: {self.system.page}", style="bold")
            versions = [self._train_and_roll_out(log, first, None)]
            self.view.chapter("Requests come in from now on, all the time")
            with self._traffic(data) as traffic:
                with self._phase("quiet"), self.view.work("answering", self.options.quiet_s) as show:
                    self._watch(traffic, show)
                self.view.chapter("The second batch arrives while requests are answered")
                self._deliver(second)
                with self._phase("training and hand-over"):
                    versions.append(self._train_and_roll_out(log, second, traffic))
                with (
                    self._phase("quiet, new model"),
                    self.view.work("answering", self.options.quiet_s) as show,
                ):
                    self._watch(traffic, show)
                self._tell_handover(log, traffic.ledger, versions[-1])
                self.view.chapter("The last prices come in, the last windows close")
                with self.view.work("waiting for every answer and price"):
                    traffic.finish()
        prices = traffic.prices_sent
        return Outcome(traffic.ledger, versions, prices, self._windows(prices))

    def _traffic(self, data: Path) -> Traffic:
        return Traffic(
            self.servers.kafka_bootstrap_servers,
            test_listings(data / "test"),
            rate=self.options.rate,
            price_delay_s=self.options.price_delay_s,
        )

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begin = time.time() * 1000
        yield
        self.phases.append(report.Phase(name, begin, time.time() * 1000))

    def _watch(self, traffic: Traffic, show: Callable[[float, str], None]) -> None:
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < self.options.quiet_s:
            show(elapsed, traffic_line(traffic.ledger))
            time.sleep(0.2)

    def _deliver(self, folder: Path) -> None:
        with self.view.work(f"{folder.name} into HDFS"):
            deliver(self.servers.hdfs_url, folder, folder.name)

    def _train_and_roll_out(self, log: ControlLog, folder: Path, traffic: Traffic | None) -> int:
        batch = folder.name
        job_log = self.home / "logs" / f"train-{batch}-1.log"
        with self.view.work(f"training on {batch}") as show:
            trained = self._await(
                log, events.TrainingSucceeded, lambda e: e.batch == batch, show, job_log, traffic
            )
        with self.view.work(f"rolling out version {trained.version}") as show:
            self._await(
                log, events.RolloutSucceeded, lambda e: e.version == trained.version, show, None, traffic
            )
        return trained.version

    def _await(
        self,
        log: ControlLog,
        kind: type[E],
        matches: Callable[[E], bool],
        show: Callable[[float, str], None],
        job_log: Path | None,
        traffic: Traffic | None,
    ) -> E:
        deadline = time.monotonic() + self.options.deadline_s
        while (found := log.find(kind, matches)) is None:
            self._tell_new(log)
            if time.monotonic() > deadline:
                raise DemoError(
                    f"no {kind.type} within {self.options.deadline_s:.0f} s; see {self.home / 'logs'}"
                )
            show(
                0,
                " · ".join(
                    filter(None, [latest_step(job_log), traffic_line(traffic.ledger if traffic else None)])
                ),
            )
            log.wait(0.5)
        self._tell_new(log)
        return found[1]

    def _tell_new(self, log: ControlLog) -> None:
        for recorded in log.seen[self._told :]:
            self._told += 1
            event = recorded.event
            fields = event.model_dump(mode="json", exclude_defaults=True)
            details = {name: value for name, value in fields.items() if value not in (None, [], "")}
            text = ", ".join(f"{name}={_short(value)}" for name, value in details.items())
            self.view.fact(f"{recorded.time:%H:%M:%S} {event.type:<18} {text}", style="cyan")
            if isinstance(event, events.TrainingFailed) and event.final:
                raise DemoError(f"training on {event.batch} failed: {event.reason}; see {self.home / 'logs'}")
            if isinstance(event, events.RolloutFailed):
                raise DemoError(f"rollout of version {event.version} failed: {event.reason}")

    def _tell_handover(self, log: ControlLog, ledger: Ledger, version: int) -> None:
        started = log.find(events.RolloutStarted, lambda e: e.version == version)
        succeeded = log.find(events.RolloutSucceeded, lambda e: e.version == version)
        if started is None or succeeded is None:
            return
        begin, end = (found[0].time.timestamp() * 1000 for found in (started, succeeded))
        self.phases.append(report.Phase("around the hand-over", begin, end + 2000))
        worst = percentiles(ledger.between(begin, end + 2000), 100)[0]
        self.view.fact(f"the worst answer around the hand-over came after {worst:.0f} ms", style="bold")

    def _windows(self, prices: int) -> list[dict[str, Any]]:
        with self.view.work("waiting for the last windows", prices) as show, _metrics(self.servers) as poll:
            records: list[dict[str, Any]] = []
            deadline = time.monotonic() + self.options.deadline_s / 4
            while (counted := report.counted(records)) < prices and time.monotonic() < deadline:
                show(counted, f"{counted:,} of {prices:,} prices are in a window")
                records += poll()
        return records


@contextmanager
def _metrics(servers: Servers) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers.kafka_bootstrap_servers,
            "group.id": "demo",
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(topics.METRICS, 0, 0)])
    try:
        yield lambda: [
            json.loads(m.value() or b"{}") for m in consumer.consume(500, 0.5) if m.error() is None
        ]
    finally:
        consumer.close()


def test_listings(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the listings of the test part that have a price."""
    for part in sorted(folder.glob("part-*.csv")):
        with part.open(newline="", encoding="utf-8") as file:
            yield from (row for row in csv.DictReader(file) if row["price"])


def traffic_line(ledger: Ledger | None) -> str:
    """Say how the requests are doing, over the last thousand answers."""
    if ledger is None:
        return ""
    worst = max((a.late_ms for a in deque(list(ledger.answers.values()), maxlen=1000)), default=0)
    return f"{len(ledger.answers):,} of {len(ledger.sent):,} requests answered, worst {worst} ms"


def latest_step(job_log: Path | None) -> str:
    """Return the name of the last event in a job's log of JSON lines; empty when there is none."""
    if job_log is None or not job_log.exists():
        return ""
    for line in reversed(job_log.read_text(errors="replace").splitlines()[-20:]):
        if line.startswith("{"):
            try:
                return str(json.loads(line).get("event", ""))
            except ValueError:
                continue
    return ""


def _short(value: Any) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
