"""Answers and prices as serving and managers write them, and every mistake that others may make."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from control_plane import topics
from tests.chaos.monitoring.application import WINDOW_MS

if TYPE_CHECKING:
    from confluent_kafka import Message

PARTITIONS = 2
MEMBERS = ("gradient_boosting", "linear_regression", "linear_svm")


class World:
    """Asks, answers and pays, in the contract's words; and makes every mistake that others may make."""

    def __init__(self, brokers: str, seed: int) -> None:
        self.garbage = 0  # records in outcomes that are none
        self._producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})
        self._source = random.Random(seed)
        self._offset = 10_000_000 * (1 + seed)  # of requests that nobody else has made

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
            self.garbage += 1
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

    def flush(self) -> None:
        """Wait until all that was sent is there."""
        self._producer.flush()

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
