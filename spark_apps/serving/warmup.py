"""Warming up: a query answers requests on scratch topics until it gets no faster.

The first answers compile the plan's code, load classes and open connections for seconds. A standby goes
through it before it says that it is ready, and a hand-over then does not.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from control_plane.patience import patiently
from control_plane.topics import create
from spark_apps.listings.samples import LISTING
from spark_apps.serving.ledger import Resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql.streaming.query import StreamingQuery

    from spark_apps.serving.query import Armed

log = structlog.get_logger()

_TOPICS = "serving.warmup"
_HOUR_MS = 3_600_000
_TIMEOUT_S = 60.0
_BURST = 300  # requests at once
_FASTER = 0.9  # a burst that takes more than this share of the best one so far is not a faster one
_PATIENCE = 2  # so many bursts in a row that are not faster: that was it


class WarmupError(RuntimeError):
    """The query does not answer on the scratch topics; it would not on the real ones either."""


def scratch_topics(partitions: int) -> tuple[str, str]:
    """Return the topics of requests and of answers.

    Each number of partitions has its own, so that a server which finds more partitions than those before it
    finds topics with as many, while the others go on with theirs.
    """
    return f"{_TOPICS}.requests.{partitions}", f"{_TOPICS}.answers.{partitions}"


def ensure_topics(bootstrap_servers: str, partitions: int, replication: int) -> None:
    """Make the scratch topics, which all servers share and no one reads later."""
    config = {"retention.ms": str(_HOUR_MS), "segment.bytes": str(16 * 1024 * 1024)}
    names = scratch_topics(partitions)
    create(bootstrap_servers, [NewTopic(name, partitions, replication, config=config) for name in names])


class Warmup:
    """Sends bursts of requests through a query on the scratch topics, and measures how long each takes."""

    def __init__(self, bootstrap_servers: str, partitions: int) -> None:
        self._partitions = range(partitions)
        self._requests, self._answers = scratch_topics(partitions)
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": _TOPICS,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )

    def run(self, arm: Callable[[str, str, dict[int, int]], Armed], *, bursts: int) -> list[float]:
        """Return how long each burst took, in seconds, the first one with the query's start."""
        ends = {p: self._end(self._requests, p) for p in self._partitions}
        self._consumer.assign(
            [TopicPartition(self._answers, p, self._end(self._answers, p)) for p in self._partitions]
        )
        took: list[float] = []
        armed = arm(self._requests, self._answers, ends)
        query = armed.lead({p: Resume(end) for p, end in ends.items()}, epoch=1)
        try:
            while len(took) < bursts and still_improving(took):
                took.append(self._burst(query))
        finally:
            armed.disarm()
            # Its tasks wait for records for seconds yet, and none of them hears of its end before.
            self._ask(uuid4().hex, len(self._partitions))
            self._consumer.close()
        log.info("warmup.done", bursts_s=[round(one, 2) for one in took])
        return took

    def _burst(self, query: StreamingQuery) -> float:
        run, began = uuid4().hex, time.monotonic()
        self._ask(run, _BURST)
        self._await(run, _BURST, query)
        return time.monotonic() - began

    def _end(self, topic: str, partition: int) -> int:
        place = TopicPartition(topic, partition)
        _, end = patiently(lambda: self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S))
        return int(end)

    def _ask(self, run: str, requests: int) -> None:
        for number, value in zip(range(requests), _requests(run), strict=False):
            self._producer.produce(
                self._requests, key=run, value=value, partition=number % len(self._partitions)
            )
        self._producer.flush(_TIMEOUT_S)

    def _await(self, run: str, answers: int, query: StreamingQuery) -> None:
        until = time.monotonic() + _TIMEOUT_S
        while answers:
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None and message.key() == run.encode():
                answers -= 1
            if time.monotonic() > until or not query.isActive:
                raise WarmupError(f"no answer on {self._answers} in {_TIMEOUT_S:.0f} s: {query.exception()}")


def still_improving(took: list[float]) -> bool:
    """Say whether one of the last bursts was clearly faster than all before it. Pure."""
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
