"""The outside world on the data topics: requests at a steady rate, and managers' prices some time after."""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import structlog
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from control_plane import topics
from control_plane.events import iso

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import KafkaError, Message

log = structlog.get_logger()

_DELIVERY_TIMEOUT_S = 30
_PRICES_EVERY_S = 0.25


@dataclass(frozen=True)
class Answer:
    """What the world needs to know of one answer; times in ms since the epoch, by the broker's clock."""

    request_id: str
    status: str
    model_version: int
    epoch: int
    requested_ms: int
    answered_ms: int

    @property
    def late_ms(self) -> int:
        """The time from the request's record to the answer's."""
        return self.answered_ms - self.requested_ms


@dataclass
class Ledger:
    """Requests sent and answers seen, both by (partition, offset) of the request; the first answer counts."""

    sent: dict[tuple[int, int], str] = field(default_factory=dict)
    answers: dict[tuple[int, int], Answer] = field(default_factory=dict)
    repeated: int = 0
    undelivered: int = 0

    @property
    def unanswered(self) -> list[str]:
        """The ids of the requests that no answer has been seen for."""
        return [request_id for place, request_id in list(self.sent.items()) if place not in self.answers]

    def record(self, place: tuple[int, int], answer: Answer) -> bool:
        """Take an answer by the reader's rule; False when the place had one."""
        if place in self.answers:
            self.repeated += 1
            return False
        self.answers[place] = answer
        return True

    def between(self, begin_ms: float, end_ms: float) -> list[Answer]:
        """Return the answers to the requests sent in a span of time."""
        return [a for a in list(self.answers.values()) if begin_ms <= a.requested_ms <= end_ms]


def percentiles(answers: list[Answer], *points: float) -> list[float]:
    """Return percentiles of the answers' latency in ms; NaN where there are no answers."""
    late = [answer.late_ms for answer in answers]
    return [float(np.percentile(late, point)) for point in points] if late else [float("nan")] * len(points)


class Traffic:
    """Sends requests from ``listings`` (over and over) and a price for each answered one, until stopped.

    ``rate`` is requests a second, ``price_delay_s`` the time from an answer to its price. A listing's own
    ``price`` is what the manager reports; it is never part of the request. Use as a context manager: on the
    way out the sender stops first, and the reader goes on until all is answered or ``drain_s`` are over.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        listings: Iterator[Mapping[str, str]],
        *,
        rate: float,
        price_delay_s: float,
        drain_s: float = 30,
        prefix: str = "r",
    ) -> None:
        self.ledger = Ledger()
        self.prices_sent = 0
        self._listings = itertools.cycle(listings)
        self._rate = rate
        self._price_delay_s = price_delay_s
        self._drain_s = drain_s
        self._prefix = prefix
        self._actual: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []
        self._no_more_requests = threading.Event()
        self._stopped = threading.Event()
        # How many wait for an answer says when Kafka is away; the library would say so four times a second.
        client = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
        # Idempotent: a request that is sent again, as its acknowledgement was lost, is one record, and the
        # count of those sent is that of those in the topic.
        self._producer = Producer({**client, "linger.ms": 0, "enable.idempotence": True})
        self._consumer = Consumer(
            {
                **client,
                "group.id": "simulator",
                "enable.auto.commit": False,
                # Several answers at once: their times are the broker's, and it has enough to do.
                "fetch.min.bytes": 65_536,
                "fetch.wait.max.ms": 100,
            }
        )
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._read)]

    def __enter__(self) -> Self:
        self._assign_predictions()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self._stopped.set()
        self._threads[1].join()
        self._consumer.close()

    def finish(self) -> None:
        """Send no more requests, and wait until all are answered and priced, or ``drain_s`` are over."""
        self._no_more_requests.set()
        self._threads[0].join()
        deadline = time.monotonic() + self._drain_s
        while (self.ledger.unanswered or self._due) and time.monotonic() < deadline:
            self._stopped.wait(0.05)
        self._producer.flush(_DELIVERY_TIMEOUT_S)

    def _assign_predictions(self) -> None:
        metadata = self._consumer.list_topics(topics.PREDICTIONS, timeout=10)
        partitions = metadata.topics[topics.PREDICTIONS].partitions
        # The end is looked up now, so that no answer can slip by between here and the first fetch.
        ends = [TopicPartition(topics.PREDICTIONS, number, OFFSET_END) for number in partitions]
        for end in ends:
            end.offset = self._consumer.get_watermark_offsets(end, timeout=10)[1]
        self._consumer.assign(ends)

    def _send(self) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            due = begun + number / self._rate
            while (wait := due - time.monotonic()) > 0 and not self._no_more_requests.is_set():
                self._producer.poll(min(wait, 0.01))
            if self._no_more_requests.is_set():
                break
            self._request(f"{self._prefix}-{number}", next(self._listings))
        self._producer.flush(_DELIVERY_TIMEOUT_S)

    def _request(self, request_id: str, listing: Mapping[str, str]) -> None:
        self._actual[request_id] = float(listing["price"])
        known = {name: value for name, value in listing.items() if value != "" and name != "price"}
        self._produce(
            request_id,
            {"kind": "request", "request_id": request_id, "listing": known},
            lambda error, message: self._delivered(request_id, error, message),
        )

    def _delivered(self, request_id: str, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.ledger.undelivered += 1
            log.warning("request.undelivered", request_id=request_id, reason=error.str())
        else:
            partition, offset = message.partition(), message.offset()
            self.ledger.sent[partition or 0, offset or 0] = request_id

    def _produce(self, key: str, value: dict[str, Any], on_delivery: Any = None) -> None:
        self._producer.produce(
            topics.LISTINGS, key=key, value=json.dumps(value).encode(), on_delivery=on_delivery
        )

    def _read(self) -> None:
        look = 0.0
        while not self._stopped.is_set():
            message = self._consumer.poll(0.02)
            if message is not None and message.error() is None:
                self._take(message)
            if time.monotonic() >= look:
                self._send_due_prices()
                look = time.monotonic() + _PRICES_EVERY_S

    def _take(self, message: Message) -> None:
        answer = json.loads(message.value() or b"{}")
        if answer.get("request_id") not in self._actual:
            return
        seen = Answer(
            request_id=answer["request_id"],
            status=answer["status"],
            model_version=answer["model_version"],
            epoch=answer["epoch"],
            requested_ms=round(datetime.fromisoformat(answer["requested_at"]).timestamp() * 1000),
            answered_ms=message.timestamp()[1],
        )
        if self.ledger.record((answer["partition"], answer["offset"]), seen) and seen.status == "predicted":
            heapq.heappush(self._due, (time.monotonic() + self._price_delay_s, seen.request_id))

    def _send_due_prices(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, request_id = heapq.heappop(self._due)
            price = {"kind": "price", "request_id": request_id, "price": self._actual[request_id]}
            self._produce(request_id, {**price, "priced_at": iso(datetime.now(UTC))})
            self.prices_sent += 1
