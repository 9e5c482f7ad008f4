"""Reading, following and publishing the control topics: the log that is the system's memory."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from control_plane import events, topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

log = structlog.get_logger()

_TIMEOUT_S = 30.0
_RETRY_S = 0.1
_NO_LEADER_YET = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
_NO_TOPIC = {
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_complained_of: set[tuple[str | None, int | None]] = set()  # a watcher reads the same log again and again


class LogUnavailableError(RuntimeError):
    """The control log could not be read or written; the message names the servers and the reason."""


@contextmanager
def _reader(bootstrap_servers: str) -> Iterator[Consumer]:
    # No group is ever joined: partitions are assigned by hand and nothing is committed.
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "pipelines-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "fetch.wait.max.ms": 50,
            "auto.offset.reset": "error",
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _until_end(consumer: Consumer, topic: str) -> Iterator[Message]:
    partition = TopicPartition(topic, 0, OFFSET_BEGINNING)
    end = _end(consumer, partition)
    consumer.assign([partition])
    while _position(consumer, topic) < end:
        message = consumer.poll(_TIMEOUT_S)
        if message is None:
            raise LogUnavailableError(f"{topic} stopped answering before its end at offset {end}")
        yield _checked(message)


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    """Return the partition's end; a topic just made has no leader for a moment."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            end: int = consumer.get_watermark_offsets(partition, timeout=_TIMEOUT_S)[1]
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return end


def _position(consumer: Consumer, topic: str) -> int:
    # Before the first record librdkafka answers OFFSET_INVALID (negative), which is before every end but 0.
    return max(0, consumer.position([TopicPartition(topic, 0)])[0].offset)


def _checked(message: Message) -> Message:
    if (error := message.error()) is not None:
        raise LogUnavailableError(f"{message.topic()} cannot be read: {error.str()}")
    return message


def _recorded(message: Message) -> events.Recorded | None:
    try:
        return events.decode(message.value())
    except events.EventError as error:
        place = (message.topic(), message.offset())
        if place not in _complained_of:
            _complained_of.add(place)
            log.warning("audit.unreadable", topic=place[0], offset=place[1], reason=str(error))
        return None


def _unreadable(topic: str, bootstrap_servers: str, error: KafkaException) -> LogUnavailableError:
    reason: KafkaError = error.args[0]
    if reason.code() in _NO_TOPIC:
        return LogUnavailableError(
            f"there is no topic {topic} at {bootstrap_servers}: `pipelines topics` makes it, if this is the "
            "right Kafka"
        )
    return LogUnavailableError(f"{topic} at {bootstrap_servers} cannot be read: {reason.str()}")


def read(bootstrap_servers: str, topic: str) -> list[events.Recorded]:
    """Return the events of a control topic from its beginning to its end; unreadable records are logged.

    Raises :class:`LogUnavailableError` when the brokers do not answer within 30 s.
    """
    try:
        with _reader(bootstrap_servers) as consumer:
            return [found for message in _until_end(consumer, topic) if (found := _recorded(message))]
    except KafkaException as error:
        raise _unreadable(topic, bootstrap_servers, error) from error


def follow(
    bootstrap_servers: str, topic_names: list[str], stopped: Callable[[], bool]
) -> Iterator[events.Recorded]:
    """Yield the events of control topics from their beginning and as they come, until ``stopped()``."""
    with _reader(bootstrap_servers) as consumer:
        consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING) for name in topic_names])
        while not stopped():
            message = consumer.poll(0.2)
            if message is not None and message.error() is None and (found := _recorded(message)):
                yield found


def publish(bootstrap_servers: str, *published: events.Event, source: str) -> None:
    """Append events to their topics, in order, and return when the brokers have them all.

    Raises :class:`LogUnavailableError` when they do not within 30 s.
    """
    # In order by one request at a time: to become idempotent takes a new producer half a second and more, and
    # an event that a retry doubles is harmless.
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "max.in.flight.requests.per.connection": 1, "linger.ms": 0}
    )
    failures: list[str] = []
    for event in published:
        key, value = events.encode(event, source=source, time=datetime.now(UTC))
        producer.produce(
            event.topic,
            key=key,
            value=value,
            headers=events.HEADERS,
            on_delivery=lambda error, _: failures.append(error.str()) if error else None,
        )
    undelivered = producer.flush(_TIMEOUT_S)
    if failures or undelivered:
        reason = failures[0] if failures else f"no answer in {_TIMEOUT_S:.0f} s"
        raise LogUnavailableError(f"{bootstrap_servers} did not take {len(published)} events: {reason}")


def servers(bootstrap_servers: str) -> list[events.ServerAnnouncement]:
    """Return what each serving server that is not gone said last of itself, the newest last."""
    latest: dict[bytes, events.ServerAnnouncement | None] = {}
    try:
        with _reader(bootstrap_servers) as consumer:
            for message in _until_end(consumer, topics.CONTROL_SERVERS):
                value = message.value()
                latest[message.key() or b""] = events.ServerAnnouncement.decode(value) if value else None
    except KafkaException as error:
        raise _unreadable(topics.CONTROL_SERVERS, bootstrap_servers, error) from error
    return sorted((found for found in latest.values() if found), key=lambda found: found.since)
