"""A consumer of librdkafka that cleans in Python, scores by XGBoost in its process, and answers.

``python -m tests.benchmarks.serving.plain.consumer SERVERS REQUESTS ANSWERS MODEL THREADS`` until SIGTERM.
It takes what has come, up to :data:`MOST` records, as one batch, and commits every second, after the answers
are safe: at least once. What it does not do: answer once (a crash repeats up to a second's answers, and no
marker or epoch tells), stand by warm or hand over (a new one starts from nothing, a new model is a restart),
fence off a predecessor, or check its model's digest. Nor has it the other members and the stack, nor
reads it trims off VINs.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from tests.benchmarks.serving.plain.cleaning import Asked, asked
from tests.benchmarks.serving.plain.model import Model

#: Records of a batch, at most: larger ones make nothing faster.
MOST = 2_000
_MAX_BYTES = 65_536
_COMMIT_S = 1.0
_MODEL_VERSION = 1


class _Answer(msgspec.Struct):
    """As in ``predictions``."""

    request_id: str | None
    status: str
    price: float | None
    low: float | None
    high: float | None
    members: dict[str, float] | None
    model_version: int
    reason: str | None
    partition: int
    offset: int
    epoch: int
    requested_at: str


def main() -> None:
    """Answer for ever."""
    kafka, requests, answers, folder, threads = sys.argv[1:]
    model = Model.read(Path(folder), int(threads))
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"plain.{requests}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "linger.ms": 0,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    consumer.subscribe([requests], on_assign=_say)
    committed = time.monotonic()
    while True:
        message = consumer.poll(0.1)
        if message is not None:
            batch = [message, *consumer.consume(MOST - 1, 0)]
            _answer([one for one in batch if not one.error()], model, producer, answers)
        producer.poll(0)
        if message is not None and time.monotonic() > committed + _COMMIT_S:
            producer.flush()
            consumer.commit(asynchronous=True)
            committed = time.monotonic()


def _say(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
    sys.stderr.write("ready\n")


def _answer(messages: list[Message], model: Model, producer: Producer, topic: str) -> None:
    """Answer a batch, each in its request's partition."""
    found = [(one, read) for one in messages if (read := asked(one.value(), one.key(), _MAX_BYTES))]
    cleaned = [read.cleaned for _, read in found if read.cleaned]
    priced = zip(*model.prices(cleaned), strict=True) if cleaned else iter(())
    for message, read in found:
        price = next(priced) if read.cleaned else (None, None, None)
        value = msgspec.json.encode(_of(message, read, *price))
        producer.produce(topic, value, message.key(), message.partition() or 0)


def _of(message: Message, read: Asked, price: float | None, low: float | None, high: float | None) -> _Answer:
    unread = read.cleaned.unreadable if read.cleaned else ""
    at = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
    return _Answer(
        request_id=read.id,
        status="rejected" if read.rejection else "predicted",
        price=price,
        low=low,
        high=high,
        members=None if price is None else {"gradient_boosting": price},
        model_version=_MODEL_VERSION,
        reason=read.rejection or (f"counted as missing: {unread}" if unread else None),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        epoch=0,
        requested_at=at.isoformat(timespec="milliseconds")[:-6] + "Z",
    )


if __name__ == "__main__":
    main()
