"""All records of a topic from its beginning to its end of now, partition by partition."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, TopicPartition

from control_plane.audit import LogUnavailableError
from control_plane.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

_TIMEOUT_S = 30.0
_BATCH = 5_000


@dataclass(frozen=True)
class Range:
    """The records of a partition from ``first`` to before ``end``."""

    topic: str
    partition: int
    first: int
    end: int


@contextmanager
def reader(bootstrap_servers: str) -> Iterator[Consumer]:
    """Yield a consumer that reads what it is told to, and commits nothing."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "pipelines-reader",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 16_384,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def ranges(consumer: Consumer, topic: str) -> list[Range]:
    """Return what each partition of a topic holds now; partitions just made have no leader for a moment.

    Raises LogUnavailableError without the topic, and KafkaException when no leader comes for 30 s.
    """
    found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    if found.error and found.error.code() != KafkaError.LEADER_NOT_AVAILABLE:
        raise LogUnavailableError(f"there is no topic {topic}: is this the right Kafka?")
    return [_held(consumer, TopicPartition(topic, number)) for number in sorted(found.partitions)]


def _held(consumer: Consumer, place: TopicPartition) -> Range:
    first, end = patiently(lambda: consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S), _TIMEOUT_S)
    return Range(place.topic, place.partition, first, end)


def batches(consumer: Consumer, wanted: Range) -> Iterator[list[Message]]:
    """Yield the records, some at a time. Raises LogUnavailableError when none comes for 30 s."""
    consumer.assign([TopicPartition(wanted.topic, wanted.partition, wanted.first)])
    at = wanted.first
    while at < wanted.end:
        first = consumer.poll(_TIMEOUT_S)
        if first is None:
            raise LogUnavailableError(f"{wanted.topic} stopped answering before its end at {wanted.end}")
        found = [message for message in (first, *consumer.consume(_BATCH, 0)) if not _is_end(message)]
        yield [message for message in found if (message.offset() or 0) < wanted.end]
        if not found:
            return  # the last offsets are no records: marks of transactions
        at = (found[-1].offset() or 0) + 1


def _is_end(message: Message) -> bool:
    if (error := message.error()) is None:
        return False
    if error.code() != KafkaError._PARTITION_EOF:
        raise LogUnavailableError(f"{message.topic()} cannot be read: {error.str()}")
    return True
