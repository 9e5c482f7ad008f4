"""What serving and managers would have written, at the times at which they would have: a backlog to read.

The topics are made with ``CreateTime`` before the system makes them, so that records may be dated: answers
come at a steady rate, each price some time after its answer, and watermarks see time pass.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from control_plane.events import iso
from control_plane.simulator.generator import listings
from control_plane.topics import LISTINGS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

_SEED, _LISTINGS = 78, 1_000
_MEMBERS = ("gradient_boosting", "linear_regression", "linear_svm")
_SHOW_EVERY = 20_000

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Traffic:
    """So many answers at ``rate`` a second, each with a price ``lag`` seconds later in the mean.

    No price comes after ``horizon`` (seconds). With ``requests`` they stand among the prices, as in life, and
    are to be read over.
    """

    answers: int
    rate: float
    lag: float
    horizon: float
    requests: bool

    @property
    def seconds(self) -> float:
        """How long it takes from the first answer to the last price that may come."""
        return self.answers / self.rate + self.horizon

    def write(self, kafka: str, partitions: int, show: Callable[[float, str], None]) -> None:
        """Write all to ``predictions`` and ``listings``, each partition in the order of time."""
        _make_topics(kafka, partitions)
        source = np.random.default_rng(_SEED)
        answered = 1000 * (time.time() - self.seconds + np.arange(self.answers) / self.rate)
        late = np.minimum(source.exponential(self.lag, self.answers), 0.9 * self.horizon)
        prices = np.round(source.uniform(3_000, 60_000, self.answers), 2)
        errors = np.round(source.normal(500, 3_000, (self.answers, 1 + len(_MEMBERS))), 2)
        sending = _Sending(kafka, partitions, show)
        for number in range(self.answers):
            value = _answer(number, partitions, float(prices[number]), errors[number], answered[number])
            sending.send(PREDICTIONS, number, value, answered[number])
        self._write_listings(sending, answered, late, np.maximum(prices + errors[:, 0], 100.0))
        sending.flush()

    def _write_listings(self, sending: _Sending, answered: Floats, late: Floats, actual: Floats) -> None:
        """Write requests, a moment before their answers, and prices, by their times."""
        came = answered + 1000 * late
        times = np.concatenate([answered - 5, came]) if self.requests else came
        asked = [json.dumps({k: v for k, v in one.items() if v != ""}) for one in _some_listings()]
        for place in np.argsort(times, kind="stable").tolist():
            number = place % self.answers
            if self.requests and place < self.answers:
                listing = asked[number % _LISTINGS]
                value = f'{{"kind": "request", "request_id": "m-{number}", "listing": {listing}}}'
            else:
                value = (
                    f'{{"kind": "price", "request_id": "m-{number}", "price": {actual[number]:.2f}, '
                    '"priced_at": "2026-01-31T13:00:00Z"}'
                )
            sending.send(LISTINGS, number, value, times[place])


class _Sending:
    """Sends records dated by the sender; who is asked about is in one partition of both topics."""

    def __init__(self, kafka: str, partitions: int, show: Callable[[float, str], None]) -> None:
        self._partitions, self._show, self._sent = partitions, show, 0
        self._producer = Producer(
            {"bootstrap.servers": kafka, "linger.ms": 20, "queue.buffering.max.kbytes": 262_144}
        )

    def send(self, topic: str, number: int, value: str, at_ms: float) -> None:
        """Send one record, as soon as there is room for it."""
        where = number % self._partitions
        while True:
            try:
                self._producer.produce(topic, value, f"m-{number}", partition=where, timestamp=int(at_ms))
                break
            except BufferError:
                self._producer.poll(0.1)
        self._sent += 1
        if self._sent % _SHOW_EVERY == 0:
            self._producer.poll(0)
            self._show(self._sent, f"{self._sent:,}")

    def flush(self) -> None:
        """Wait until all is there."""
        self._producer.flush()


def _answer(number: int, partitions: int, price: float, errors: Floats, at_ms: float) -> str:
    members = ", ".join(
        f'"{name}": {price + float(error):.2f}' for name, error in zip(_MEMBERS, errors[1:], strict=True)
    )
    return (
        f'{{"request_id": "m-{number}", "status": "predicted", "price": {price:.2f}, '
        f'"low": {price - 4000:.2f}, "high": {price + 4000:.2f}, "members": {{{members}}}, '
        f'"model_version": {1 + number % 2}, '
        f'"reason": null, "partition": {number % partitions}, "offset": {number // partitions}, "epoch": 1, '
        f'"requested_at": "{iso(datetime.fromtimestamp(at_ms / 1000, UTC))}"}}'
    )


def _some_listings() -> list[dict[str, str]]:
    return list(islice(listings(_LISTINGS, _SEED), _LISTINGS))


def _make_topics(kafka: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_topics([NewTopic(name, partitions, 1) for name in (PREDICTIONS, LISTINGS)])
    for future in made.values():
        future.result(30)
