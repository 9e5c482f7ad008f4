"""Which records of a topic lie in a window of the broker's time, and which windows were published last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from control_plane import metrics_log, records

if TYPE_CHECKING:
    from spark_apps.monitoring.drift_records import Span

_TIMEOUT_S = 10.0

Offsets = dict[int, tuple[int, int]]


class TopicSpans:
    """Looks topics up. Raises :class:`confluent_kafka.KafkaException` while Kafka is away."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "monitoring-drift",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 8192,
            }
        )

    def offsets(self, topic: str, span: Span) -> Offsets:
        """Return by partition the first offset and the one after the last; without those that have none."""
        found = self._consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        firsts, ends = (self._at(topic, list(found.partitions), ms) for ms in (span.start, span.end))
        return {number: (first, ends[number]) for number, first in firsts.items() if first < ends[number]}

    def _at(self, topic: str, partitions: list[int], ms: int) -> dict[int, int]:
        asked = [TopicPartition(topic, number, ms) for number in partitions]
        places = self._consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)
        if error := next((place.error for place in places if place.error), None):
            raise KafkaException(error)
        return {place.partition: place.offset if place.offset >= 0 else self._end(place) for place in places}

    def _end(self, place: TopicPartition) -> int:
        end: int = self._consumer.get_watermark_offsets(
            TopicPartition(place.topic, place.partition), timeout=_TIMEOUT_S
        )[1]
        return end


def published_to(bootstrap_servers: str, since_ms: int) -> int | None:
    """Return when the last window of drift or estimates ended that was published ``since_ms``."""
    ends = [
        round(metric.window_end.timestamp() * 1000)
        for metric in metrics_log.since(bootstrap_servers, since_ms)
        if isinstance(metric, (records.DriftWindow, records.EstimateWindow))
    ]
    return max(ends, default=None)
