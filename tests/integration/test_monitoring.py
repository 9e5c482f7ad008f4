"""The monitoring application on a real Kafka: killed while it works, it still counts every outcome once."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from control_plane import topics
from control_plane.prices import is_price
from control_plane.recomputation_view import verified
from control_plane.settings import Topics
from tests.chaos.monitoring.application import HORIZON_MS, LEAD_S, WINDOW_MS, Application
from tests.chaos.monitoring.world import PARTITIONS, World, window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

    from control_plane.settings import Servers

PATIENCE_S = 240


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
def app(sandbox: Servers, brokers: str, tmp_path: Path) -> Iterator[Application]:
    app = Application(sandbox, tmp_path)
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
    app: Application, brokers: str, log: Callable[[str], Log]
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

    # What it remembers is lost, and made anew from the topics.
    assert app.terminate() == 0
    written = len(outcomes.to_end())
    app.lose_checkpoint()
    new = world.answers_and_prices("forgotten", 100)
    wanted |= new
    app.start()
    outcomes.until(lambda found: wanted <= request_ids(found), "outcomes of the fourth start")
    assert request_ids(outcomes.to_end()[written:]) == new
    assert "monitoring.checkpoint_made_anew" in app.log.read_text()

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
