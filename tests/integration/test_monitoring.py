"""The monitoring application on a real Kafka: killed while it works, it still counts every outcome once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from control_plane import topics
from control_plane.prices import is_price
from control_plane.recomputation_view import verified
from control_plane.settings import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

    from control_plane.settings import Servers

WINDOW_MS = 2000
HORIZON_MS = 3_600_000
LEAD_S = 3600
PATIENCE_S = 240
PARTITIONS = 2
MEMBERS = ("gradient_boosting", "linear_regression", "linear_svm")


class App:
    """The application as a process, with the checkpoints of its predecessors."""

    def __init__(self, servers: Servers, home: Path, **settings: str) -> None:
        self.home = home
        self.log = home / "monitoring.log"
        self._environment = (
            os.environ
            | servers.environment()
            | {
                "PIPELINES_HOME": str(home),
                "MONITORING_WINDOW": str(WINDOW_MS / 1000),
                "MONITORING_DELAY": "1",
                "MONITORING_TRIGGER": "0.5",
                "MONITORING_PRICE_HORIZON": str(HORIZON_MS / 1000),
                "MONITORING_HEARTBEAT": str(home / "heartbeat"),
                "LOG_FORMAT": "json",
            }
            | settings
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spark_apps.monitoring"], env=self._environment, stderr=log, stdout=log
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        return self._process

    def kill(self) -> None:
        """SIGKILL Python and its JVM at once, and wait until both are gone."""
        process = self.process
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # Spark's short-lived ones come and go
                member.kill()
        process.wait()
        psutil.wait_procs(family, timeout=20)

    def kill_python_alone(self) -> None:
        process = self.process
        process.kill()
        process.wait()

    def terminate(self) -> int:
        process = self.process
        process.terminate()
        return process.wait(30)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def lose_last_commit(self) -> None:
        """Make the last batch with records one that was killed after it had written all its outcomes."""
        offsets = _numbered(self.home / "monitoring" / "outcomes" / "offsets")
        commits = _numbered(self.home / "monitoring" / "outcomes" / "commits")
        last = max(
            number
            for number in commits
            if number and _sources(offsets[number - 1]) != _sources(offsets[number])
        )
        for file in [offsets[n] for n in offsets if n > last] + [commits[n] for n in commits if n >= last]:
            file.unlink()
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def _numbered(folder: Path) -> dict[int, Path]:
    return {int(file.name): file for file in folder.iterdir() if file.name.isdigit()}


def _sources(offsets: Path) -> list[str]:
    return offsets.read_text().splitlines()[2:]  # after the version and the batch's own metadata


class Log:
    """A topic's records from the beginning, read as far as it was asked for."""

    def __init__(self, brokers: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "fetch.wait.max.ms": 50})
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
        self._partitions = [TopicPartition(topic, p) for p in range(partitions)]
        self.records: list[Message] = []

    def until(self, holds: Callable[[list[Message]], bool], what: str) -> list[Message]:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self.records):
            assert time.monotonic() < deadline, (
                f"{what}: not after {PATIENCE_S} s and {len(self.records)} records"
            )
            self._poll()
        return self.records

    def to_end(self) -> list[Message]:
        ends = [self._consumer.get_watermark_offsets(partition)[1] for partition in self._partitions]
        while sum(position.offset for position in self._positions()) < sum(ends):
            self._poll()
        return self.records

    def _positions(self) -> list[TopicPartition]:
        positions = self._consumer.position(self._partitions)
        return [TopicPartition(p.topic, p.partition, max(0, p.offset)) for p in positions]

    def _poll(self) -> None:
        if (message := self._consumer.poll(0.5)) is not None:
            assert message.error() is None, message.error()
            self.records.append(message)

    def close(self) -> None:
        self._consumer.close()


class World:
    """Asks, answers and pays, in the contract's words; and makes every mistake that others may make."""

    def __init__(self, brokers: str, seed: int) -> None:
        self._producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})
        self._source = random.Random(seed)
        self._offset = 1_000_000  # of requests that nobody else has made

    def answers_and_prices(self, prefix: str, count: int) -> set[str]:
        """Send them in a random order, and return the ids of the requests that must get an outcome."""
        ids = [f"{prefix}-{n}" for n in range(count)]
        for request in ids:
            price = self.answer(request)
            self.price(request, max(100, price + self._source.gauss(500, 3000)))
        self._producer.flush()
        return set(ids)

    def mistakes(self, prefix: str) -> set[str]:
        """Send what must not count, and return the ids of requests that must get an outcome all the same."""
        for value in (b"", b"no JSON", b"\xff\xfe", b"[" * 50_000, b"[]", b'{"status": "predicted"}', None):
            self._send(topics.PREDICTIONS, 0, None, value)
            self._send(topics.LISTINGS, 0, None, value)
            self._send(topics.OUTCOMES, 0, None, value)
            self._send(topics.METRICS, 0, None, value)
        self.answer(f"{prefix}-rejected", status="rejected", price=None, members=None)
        self.price(f"{prefix}-rejected", 10_000)
        self.price(f"{prefix}-unknown", 10_000)
        for bad in (0, -1, 1e12, "10000", None, float("nan")):
            self.price(f"{prefix}-bad-price", bad)
        self.price(f"{prefix}-bad-price", 12_345.67)
        self.answer(f"{prefix}-bad-price")
        self.answer(f"{prefix}-twice")
        self.answer(f"{prefix}-twice")
        self.price(f"{prefix}-twice", 9_999)
        self.price(f"{prefix}-twice", 1)
        offset = self._offset
        self.answer(f"{prefix}-fenced")
        self.answer(f"{prefix}-fenced", offset=offset, epoch=9)
        self.price(f"{prefix}-fenced", 20_000)
        self._producer.flush()
        return {f"{prefix}-{name}" for name in ("bad-price", "twice", "fenced")}

    def answer(self, request: str, **changes: Any) -> float:
        price = round(self._source.uniform(3_000, 60_000), 2)
        partition = hash_partition(request)
        value = {
            "request_id": request,
            "status": "predicted",
            "price": price,
            "low": price - 4000,
            "high": price + 4000,
            "members": {name: price + self._source.gauss(0, 1500) for name in MEMBERS},
            "model_version": self._source.choice((1, 2)),
            "reason": None,
            "partition": partition,
            "offset": self._offset,
            "epoch": 1,
            "requested_at": "2026-01-31T12:00:00.000Z",
        } | changes
        self._offset += 1
        self._send(topics.PREDICTIONS, partition, request, json.dumps(value).encode())
        return price

    def price(self, request: str, dollars: Any) -> None:
        value = {
            "kind": "price",
            "request_id": request,
            "price": dollars,
            "priced_at": "2026-01-31T13:00:00Z",
        }
        self._send(topics.LISTINGS, hash_partition(request), request, json.dumps(value).encode())

    def outcomes_over_windows(self, prefix: str, windows: int) -> None:
        """Write outcomes as the application does, until they are in that many windows of broker time."""
        seen: set[int] = set()
        while len(seen) < windows:
            value = {
                "request_id": f"{prefix}-{self._offset}",
                "price": 100.0,
                "members": {},
                "model_version": 7,
            }
            self._send(
                topics.OUTCOMES,
                0,
                value["request_id"],
                json.dumps(value | {"actual": 90.0}).encode(),
                on_delivery=lambda _, message: seen.add(window_of(message)),
            )
            self._offset += 1
            self._producer.flush()

    def _send(self, topic: str, partition: int, key: Any, value: bytes | None, **options: Any) -> None:
        self._producer.produce(topic, key=key, value=value, partition=partition, **options)
        self._producer.poll(0)


def hash_partition(request: str) -> int:
    return sum(request.encode()) % PARTITIONS


def window_of(message: Message) -> int:
    return int(message.timestamp()[1] // WINDOW_MS)


def parsed(message: Message) -> dict[str, Any]:
    try:
        value = json.loads((message.value() or b"").decode())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def expected_outcomes(
    predictions: Iterable[Message], listings: Iterable[Message]
) -> dict[str, dict[str, Any]]:
    """The contract once more, in plain Python: what ``outcomes`` must hold, by request id."""
    placed: set[tuple[int, int]] = set()
    answers: dict[str, dict[str, Any]] = {}
    for message in predictions:
        answer = parsed(message)
        place = (answer.get("partition"), answer.get("offset"))
        if None in place or place in placed:
            continue
        placed.add(place)  # type: ignore[arg-type]
        if answer["status"] == "predicted":
            answers.setdefault(answer["request_id"], answer)
    prices: dict[str, dict[str, Any]] = {}
    for message in listings:
        if is_price(message.value()) and 0.01 <= parsed(message)["price"] <= 1e9:
            prices.setdefault(parsed(message)["request_id"], parsed(message))
    return {
        request: answer
        | {"actual": float(prices[request]["price"]), "priced_at": prices[request].get("priced_at")}
        for request, answer in answers.items()
        if request in prices
    }


def published_windows(metrics: Iterable[Message]) -> dict[tuple[int, int, str], dict[str, Any]]:
    """The windows of errors in ``metrics``; one published twice must have the same content."""
    by_key: dict[bytes, bytes] = {}
    found = {}
    for message in metrics:
        key, value = message.key(), message.value()
        if key is None or value is None:
            continue
        assert by_key.setdefault(key, value) == value
        window = json.loads(value)
        if window["kind"] != "error":  # of other tests
            continue
        start, end = (_milliseconds(window[name]) for name in ("window_start", "window_end"))
        assert end - start == WINDOW_MS
        assert key.decode() == "/".join(
            str(window[name]) for name in ("kind", "window_start", "window_end", "model_version", "model")
        )
        found[(start // WINDOW_MS, window["model_version"], window["model"])] = window
    return found


def _milliseconds(text: str) -> int:
    return int(np.datetime64(text.removesuffix("Z"), "ms").astype(int))


def request_ids(records: Iterable[Message]) -> set[str]:
    return {str(request) for record in records if (request := parsed(record).get("request_id"))}


@pytest.fixture(scope="module")
def brokers(sandbox: Servers) -> str:
    topics.ensure_topics(sandbox.kafka_bootstrap_servers, Topics(partitions=PARTITIONS))
    return sandbox.kafka_bootstrap_servers


@pytest.fixture
def app(sandbox: Servers, brokers: str, tmp_path: Path) -> Iterator[App]:
    app = App(sandbox, tmp_path)
    yield app
    app.end()


@pytest.fixture
def log(brokers: str) -> Iterator[Callable[[str], Log]]:
    opened: list[Log] = []

    def open_log(topic: str) -> Log:
        opened.append(Log(brokers, topic, 1 if topic == topics.METRICS else PARTITIONS))
        return opened[-1]

    yield open_log
    for one in opened:
        one.close()


@pytest.mark.timeout(900)  # three starts of Spark: a minute here, many on a busy machine
def test_every_outcome_counts_once_though_the_application_is_killed(
    app: App, brokers: str, log: Callable[[str], Log]
) -> None:
    world = World(brokers, seed=4)
    outcomes, metrics = log(topics.OUTCOMES), log(topics.METRICS)

    # Some wait before the very first start; it is killed while it joins those that follow.
    wanted = world.answers_and_prices("before", 200) | world.mistakes("mistake")
    app.start()
    outcomes.until(lambda found: wanted <= request_ids(found), "outcomes of what had waited")
    wanted |= world.answers_and_prices("killed", 300)
    outcomes.until(lambda found: not request_ids(found).isdisjoint({"killed-0"}), "a first outcome")
    app.kill()

    # Down: the last batch of outcomes is to be written again, and both queries find a backlog of windows.
    app.lose_last_commit()
    wanted |= world.answers_and_prices("down", 300)
    world.outcomes_over_windows("unread", windows=3)
    app.start()
    outcomes.until(lambda found: wanted <= request_ids(found), "outcomes of the backlog")

    # Python alone is killed; its JVM may live on for a moment.
    app.kill_python_alone()
    app.start()
    wanted |= world.answers_and_prices("again", 100)
    outcomes.until(lambda found: wanted <= request_ids(found), "outcomes of the third start")

    # Nothing more comes, and the last window is published all the same.
    last = max(window_of(record) for record in outcomes.to_end())
    metrics.until(lambda found: last in {key[0] for key in published_windows(found)}, "the last window")
    assert app.terminate() == 0
    assert (app.home / "heartbeat").exists()

    records = outcomes.to_end()
    expected = expected_outcomes(log(topics.PREDICTIONS).to_end(), log(topics.LISTINGS).to_end())
    assert wanted <= expected.keys()
    mine = [
        record for record in records if not parsed(record).get("request_id", "unread").startswith("unread")
    ]
    assert {record.key().decode(): parsed(record) for record in mine if record.key()} == expected
    written_twice = len(mine) - len(request_ids(mine))
    assert written_twice > 0, "no batch was written again: the test has lost its point"

    verdict = verified(brokers, horizon=HORIZON_MS / 1000, lead=LEAD_S, grace=0)
    assert verdict.differences == []
    assert verdict.outcomes == len(expected)
    assert verdict.windows == len(published_windows(metrics.to_end())) > 0
