"""All records of a topic from its beginning to its end of now, partition by partition."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, TopicPartition

from control_plane.audit import LogUnavailableError

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
    """Return what each partition of a topic holds now. Raises LogUnavailableError without the topic."""
    found = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    if found.error:
        raise LogUnavailableError(f"there is no topic {topic}: is this the right Kafka?")
    places = [TopicPartition(topic, number) for number in sorted(found.partitions)]
    return [
        Range(topic, place.partition, *consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S))
        for place in places
    ]


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
