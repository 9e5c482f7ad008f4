"""Prices asked of the running system as every client asks: by ``listings``, answered in ``predictions``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Producer, TopicPartition

from control_plane import records
from control_plane.audit import LogUnavailableError
from control_plane.topics import LISTINGS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

_TIMEOUT_S = 30.0
_POLL_S = 0.1
_IN_FLIGHT = 5_000


class UnansweredError(RuntimeError):
    """Not every request was answered in time; the message says how many were not."""


def predicted(
    bootstrap_servers: str, listings: Sequence[str], *, patience_s: float
) -> Iterator[tuple[int, records.Answer]]:
    """Ask for the price of each listing (JSON), and yield the place in ``listings`` and the answer, in order.

    Raises: UnansweredError when no answer comes for ``patience_s``, LogUnavailableError without brokers.
    """
    run = f"predict-{uuid4().hex[:12]}"
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": run,  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
    )
    producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 1, "acks": "all"})
    try:
        consumer.assign(_ends(consumer))
        yield from _answers(producer, consumer, run, listings, patience_s)
    except KafkaException as error:
        raise LogUnavailableError(f"{bootstrap_servers} does not answer: {error.args[0].str()}") from error
    finally:
        producer.purge()
        consumer.close()


def _ends(consumer: Consumer) -> list[TopicPartition]:
    """Return where ``predictions`` end now; looked up, for an answer may come before the first fetch."""
    found = consumer.list_topics(PREDICTIONS, timeout=_TIMEOUT_S).topics[PREDICTIONS]
    if found.error:
        raise LogUnavailableError(f"there is no topic {PREDICTIONS}: is this the right Kafka?")
    places = [TopicPartition(PREDICTIONS, number, OFFSET_END) for number in found.partitions]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1]
    return places


def _answers(
    producer: Producer, consumer: Consumer, run: str, listings: Sequence[str], patience_s: float
) -> Iterator[tuple[int, records.Answer]]:
    waiting: dict[int, records.Answer] = {}  # of requests before which others are not answered yet
    sent = told = 0
    give_up = time.monotonic() + patience_s
    while told < len(listings):
        while sent < min(len(listings), told + _IN_FLIGHT):
            request_id = f"{run}-{sent}"
            value = f'{{"kind": "request", "request_id": "{request_id}", "listing": {listings[sent]}}}'
            producer.produce(LISTINGS, key=request_id, value=value.encode())
            sent += 1
        producer.poll(0)
        if (answered := _answered(consumer.poll(_POLL_S), run)) is not None:
            number, answer = answered
            waiting.setdefault(number, answer)  # the rule: the first answer to a request is the answer
            give_up = time.monotonic() + patience_s
        while told in waiting:
            yield told, waiting.pop(told)
            told += 1
        if time.monotonic() > give_up:
            raise UnansweredError(
                f"{len(listings) - told - len(waiting):,} of {len(listings):,} requests have no answer after "
                f"{patience_s:.0f} s"
            )


def _answered(message: Message | None, run: str) -> tuple[int, records.Answer] | None:
    """Return the number of our request that a record of ``predictions`` answers, and the answer."""
    key = b"" if message is None or message.error() else message.key() or b""
    prefix, _, number = key.decode(errors="replace").rpartition("-")
    if prefix != run or message is None:
        return None
    try:
        return int(number), records.answer(message.value())
    except (records.RecordError, ValueError):
        return None
