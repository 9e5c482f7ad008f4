"""Warming up: the query is started and stopped on scratch topics until its start gets no faster.

A first start compiles the plan's code, loads classes and opens connections for seconds; the tenth takes
tenths of one. A standby goes through it before it says that it is ready, and a hand-over then does not.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from spark_apps.serving.ledger import Resume
from spark_apps.serving.patience import patiently
from spark_apps.serving.samples import LISTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql.streaming.query import StreamingQuery

    from spark_apps.serving.query import Armed

log = structlog.get_logger()

REQUESTS = "serving.warmup.requests"
ANSWERS = "serving.warmup.answers"

_HOUR_MS = 3_600_000
_TIMEOUT_S = 60.0
_BURST = 300  # requests a run: enough for the compiler to see the hot code
_LEAST = 3  # starts, however long they take: a slow machine needs them most
_FASTER = 0.9  # a start that takes more than this share of the best one so far is not a faster one
_PATIENCE = 2  # so many starts in a row that are not faster: that was it


class WarmupError(RuntimeError):
    """The query does not answer on the scratch topics; it would not on the real ones either."""


def ensure_topics(bootstrap_servers: str, partitions: int, replication: int) -> None:
    """Make the scratch topics, which all servers share and no one reads later."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    config = {"retention.ms": str(_HOUR_MS), "segment.bytes": str(16 * 1024 * 1024)}
    topics = [NewTopic(name, partitions, replication, config=config) for name in (REQUESTS, ANSWERS)]
    for future in admin.create_topics(topics, request_timeout=_TIMEOUT_S).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


class Warmup:
    """Starts a query again and again and measures how long its first answer takes."""

    def __init__(self, bootstrap_servers: str, partitions: int) -> None:
        self._partitions = range(partitions)
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": REQUESTS,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )

    def run(
        self, arm: Callable[[str, str, dict[int, int]], Armed], *, runs: int, seconds: float
    ) -> list[float]:
        """Return how long each start took to its first answer, in seconds."""
        took: list[float] = []
        until = time.monotonic() + seconds
        while len(took) < runs and still_improving(took) and (len(took) < _LEAST or time.monotonic() < until):
            took.append(self._once(arm))
        self._consumer.close()
        log.info("warmup.done", starts_s=[round(one, 2) for one in took])
        return took

    def _once(self, arm: Callable[[str, str, dict[int, int]], Armed]) -> float:
        ends = {p: self._end(REQUESTS, p) for p in self._partitions}
        self._consumer.assign([TopicPartition(ANSWERS, p, self._end(ANSWERS, p)) for p in self._partitions])
        run = uuid4().hex
        self._ask(run, 1)
        began = time.monotonic()
        armed = arm(REQUESTS, ANSWERS, ends)
        query = armed.lead({p: Resume(end) for p, end in ends.items()}, epoch=1)
        try:
            self._await(run, 1, query)
            took = time.monotonic() - began
            self._ask(f"{run}-more", _BURST)
            self._await(f"{run}-more", _BURST, query)
        finally:
            armed.disarm()
            # Its tasks wait for records for seconds yet, and none of them hears of its end before.
            self._ask(f"{run}-end", len(self._partitions))
        return took

    def _end(self, topic: str, partition: int) -> int:
        place = TopicPartition(topic, partition)
        _, end = patiently(lambda: self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S))
        return int(end)

    def _ask(self, run: str, requests: int) -> None:
        for number, value in zip(range(requests), _requests(run), strict=False):
            self._producer.produce(REQUESTS, key=run, value=value, partition=number % len(self._partitions))
        self._producer.flush(_TIMEOUT_S)

    def _await(self, run: str, answers: int, query: StreamingQuery) -> None:
        until = time.monotonic() + _TIMEOUT_S
        while answers:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None and message.key() == run.encode():
                answers -= 1
            if time.monotonic() > until or not query.isActive:
                raise WarmupError(f"no answer on {ANSWERS} in {_TIMEOUT_S:.0f} s: {query.exception()}")


def still_improving(took: list[float]) -> bool:
    """Say whether one of the last starts was clearly faster than all before it. Pure."""
    if len(took) <= _PATIENCE:
        return True
    return min(took[-_PATIENCE:]) < _FASTER * min(took[:-_PATIENCE])


def _requests(run: str) -> Iterator[bytes]:
    """Yield requests of every kind, good ones mostly; those without an id are answered under their key."""
    good = _request(run, LISTING)
    while True:
        yield from (good, good, good)
        yield _request(run, {})
        yield from (good, good, good)
        yield _request(run, LISTING | {"mileage": "far"})
        yield b"not JSON"


def _request(request_id: str, listing: dict[str, str]) -> bytes:
    return json.dumps({"kind": "request", "request_id": request_id, "listing": listing}).encode()
