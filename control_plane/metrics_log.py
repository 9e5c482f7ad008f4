"""What was published in ``metrics`` of late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from control_plane import records
from control_plane.audit import LogUnavailableError
from control_plane.topic_ranges import Range, batches, ranges, reader
from control_plane.topics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Consumer

_TIMEOUT_S = 30.0


def since(bootstrap_servers: str, moment_ms: int) -> list[records.Metric]:
    """Return what was published from a moment (ms since 1970) on, in order; what is no metric is left out.

    Raises :class:`LogUnavailableError` when the brokers do not answer within 30 s.
    """
    try:
        with reader(bootstrap_servers) as consumer:
            return [
                metric
                for of_partition in _ranges(consumer, moment_ms)
                for messages in batches(consumer, of_partition)
                for message in messages
                if (metric := _metric(message.value())) is not None
            ]
    except KafkaException as error:
        raise LogUnavailableError(f"{bootstrap_servers} cannot be read: {error.args[0].str()}") from error


def _ranges(consumer: Consumer, moment_ms: int) -> Iterator[Range]:
    for whole in ranges(consumer, METRICS):
        asked = [TopicPartition(METRICS, whole.partition, moment_ms)]
        [place] = consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)
        if place.error:
            raise KafkaException(place.error)
        first = whole.end if place.offset < 0 else place.offset  # below 0: nothing is that new
        yield Range(METRICS, whole.partition, first, whole.end)


def _metric(value: bytes | None) -> records.Metric | None:
    try:
        return records.metric(value)
    except records.RecordError:
        return None
