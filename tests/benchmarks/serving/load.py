"""Requests as fast or as steadily as told, and how late their answers came, by the broker's clock."""

from __future__ import annotations

import itertools
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.serving.results import Drain, Latency

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PERCENTILES = (50, 99, 99.9)
_WARM_S = 3.0
_PATIENCE_S = 120.0

# An answer's value and when it was appended, in ms: values are looked into only when all have come, since who
# is measured has the same cores.
_Raw = tuple[bytes, int]


class Load:
    """Sends to one topic and reads another; use as a context manager."""

    def __init__(
        self, kafka: str, requests: str, answers: str, listings: Sequence[Mapping[str, str]]
    ) -> None:
        self._topics = requests, answers
        known = ({k: v for k, v in one.items() if v != "" and k != "price"} for one in listings)
        self._listings = [json.dumps(one).encode() for one in known]
        self._producer = Producer(
            {"bootstrap.servers": kafka, "linger.ms": 0, "queue.buffering.max.messages": 1_000_000}
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": "bench",
                "enable.auto.commit": False,
                # Several answers at once: their times are the broker's, and it has enough to do.
                "fetch.min.bytes": 65_536,
                "fetch.wait.max.ms": 100,
            }
        )
        self._runs = itertools.count()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def steady(self, rate: float, seconds: float) -> Latency:
        """Send so many a second for so long; the first three seconds are not counted."""
        late = self.lateness(rate, seconds, warm_s=_WARM_S)
        found = tuple(float(one) for one in np.percentile(late, PERCENTILES))
        return Latency(rate, found, float(late.max()), len(late))

    def lateness(self, rate: float, seconds: float, *, warm_s: float) -> np.ndarray[Any, Any]:
        """Send likewise and return how late each answer came, ms, but for the first ``warm_s`` seconds."""
        self._at_the_end()
        requests, begun = self._requests(), time.monotonic()
        wanted, sent, answers = int(rate * (seconds + warm_s)), 0, list[_Raw]()
        while sent < wanted:
            due = min(wanted, int((time.monotonic() - begun) * rate) + 1)
            for key, value in itertools.islice(requests, due - sent):
                self._producer.produce(self._topics[0], key=key, value=value)
            sent = max(sent, due)
            self._producer.poll(0)
            answers += self._read(0.002 if rate > 200 else 0.005)
        self._producer.flush()
        answers += self._rest(wanted - len(answers))
        asked, answered = _times(answers)
        late: np.ndarray[Any, Any] = (answered - asked)[asked >= asked.min() + 1000 * warm_s]
        return late

    def drain(self, requests: int) -> Drain:
        """Send so many at once, and wait until all are answered."""
        self._at_the_end()
        for key, value in itertools.islice(self._requests(), requests):
            self._producer.produce(self._topics[0], key=key, value=value)
            self._producer.poll(0)
        self._producer.flush()
        asked, answered = _times(self._rest(requests))
        return Drain(requests, float(answered.max() - asked.min()) / 1000)

    def _requests(self) -> Iterator[tuple[str, bytes]]:
        run = next(self._runs)
        for number, listing in enumerate(itertools.cycle(self._listings)):
            key = f"bench-{run}-{number}"
            yield key, b'{"kind": "request", "request_id": "%b", "listing": %b}' % (key.encode(), listing)

    def _at_the_end(self) -> None:
        topic = self._topics[1]
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        places = [TopicPartition(topic, number) for number in partitions]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=30)[1]
        self._consumer.assign(places)

    def _read(self, wait_s: float) -> list[_Raw]:
        found = self._consumer.consume(5_000, wait_s)
        return [(one.value() or b"", one.timestamp()[1]) for one in found if not one.error()]

    def _rest(self, missing: int) -> list[_Raw]:
        answers, give_up = list[_Raw](), time.monotonic() + _PATIENCE_S
        while len(answers) < missing:
            if found := self._read(0.2):
                answers += found
                give_up = time.monotonic() + _PATIENCE_S
            elif time.monotonic() > give_up:
                raise BenchmarkError(f"{missing - len(answers):,} of {missing:,} answers never came")
        return answers


def _times(answers: Sequence[_Raw]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return when the requests' records and the answers' were appended, milliseconds."""
    asked = [datetime.fromisoformat(json.loads(value)["requested_at"]).timestamp() for value, _ in answers]
    return np.array(asked) * 1000, np.array([at for _, at in answers], dtype=float)
