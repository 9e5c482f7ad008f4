"""A stand-in for serving and monitoring on real topics: answers and windows that keep the contract."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from control_plane import events, topics

if TYPE_CHECKING:
    from control_plane.settings import Servers

PRICE = 20_000.0
MEMBERS = {"gradient_boosting": 20_100.0, "linear_svm": 19_500.0, "linear_regression": 19_900.0}


class StandIn:
    """Answers every request in ``listings`` while it is entered, by the version and epoch that it is told."""

    def __init__(self, servers: Servers) -> None:
        self.leads = (1, 1)  # version and epoch
        config = {"bootstrap.servers": servers.kafka_bootstrap_servers}
        self._producer = Producer({**config, "linger.ms": 0})
        self._consumer = Consumer({**config, "group.id": "stand-in", "enable.auto.commit": False})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self) -> Self:
        partitions = (
            self._consumer.list_topics(topics.LISTINGS, timeout=30).topics[topics.LISTINGS].partitions
        )
        self._consumer.assign([TopicPartition(topics.LISTINGS, n, OFFSET_BEGINNING) for n in partitions])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
        self._producer.flush(10)

    def _answer(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            request = json.loads(message.value() or b"{}")
            if request.get("kind") == "request":
                self._producer.produce(
                    topics.PREDICTIONS,
                    key=request["request_id"],
                    value=json.dumps(self.answer(request, message)).encode(),
                    partition=message.partition(),
                )
            self._producer.poll(0)

    def answer(self, request: dict[str, Any], message: Any) -> dict[str, Any]:
        """Return the answer to the request in a message."""
        version, epoch = self.leads
        rejected = "make_name" not in request["listing"]
        return {
            "request_id": request["request_id"],
            "status": "rejected" if rejected else "predicted",
            "price": None if rejected else PRICE,
            "low": None if rejected else 0.85 * PRICE,
            "high": None if rejected else 1.2 * PRICE,
            "members": None if rejected else MEMBERS,
            "model_version": version,
            "reason": "required columns missing: make_name" if rejected else None,
            "partition": message.partition(),
            "offset": message.offset(),
            "epoch": epoch,
            "requested_at": events.iso(datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)),
        }

    def ask(self, request_id: str, listing: dict[str, Any]) -> None:
        """Publish a request, as any client does."""
        value = {"kind": "request", "request_id": request_id, "listing": listing}
        self._producer.produce(topics.LISTINGS, key=request_id, value=json.dumps(value).encode())
        self._producer.poll(0)

    def announce(self, role: str, server: str, version: int | None, epoch: int | None = None) -> None:
        """Say that a server has a role."""
        said = events.ServerAnnouncement(
            server=server, role=role, model_version=version, epoch=epoch, pid=1, since=datetime.now(UTC)
        )
        self._producer.produce(topics.CONTROL_SERVERS, key=said.key, value=said.encode())
        self._producer.flush(10)

    def window(
        self, end: datetime, start: datetime, version: int, model: str, rmse: float, **parts: Any
    ) -> None:
        """Publish a window of errors."""
        span = {"window_start": events.iso(start), "window_end": events.iso(end)}
        errors = {"count": 100, "rmse": rmse, "mae": 0.7 * rmse, "mape": 0.08, "bias": -40.0, "r2": 0.96}
        coverage = {"coverage": 0.91 if model == "stack" else None}
        value = {
            "kind": "error",
            **span,
            "model_version": version,
            "model": model,
            **errors,
            **coverage,
            **parts,
        }
        key = "/".join(["error", *span.values(), str(version), model])
        self._producer.produce(topics.METRICS, key=key, value=json.dumps(value).encode())
        self._producer.flush(10)

    def drift(self, end: datetime, start: datetime, version: int, **psi: float) -> None:
        """Publish a window of drift, and of the errors to be expected."""
        span = {"window_start": events.iso(start), "window_end": events.iso(end)}
        of = {**span, "model_version": version, "count": 300}
        for feature, index in psi.items():
            value = {"kind": "drift", "feature": feature, "psi": index, "chance": 0.05, "missing": 0.1, **of}
            self._producer.produce(topics.METRICS, value=json.dumps(value).encode())
        expected = {"kind": "estimate", "half_width": 5_000.0, "mae": 1_900.0, "rmse": 2_900.0, **of}
        self._producer.produce(topics.METRICS, value=json.dumps(expected).encode())
        self._producer.flush(10)
