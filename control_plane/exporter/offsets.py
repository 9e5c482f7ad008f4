"""How far topics and serving have got, by Kafka's offsets alone."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from control_plane.topics import LISTINGS, MARKER_GROUP, METRICS, OUTCOMES, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

TOPICS = (LISTINGS, PREDICTIONS, OUTCOMES, METRICS)
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Offsets:
    """A look at the offsets: the ends of the data topics, and how far behind serving is, by partition."""

    ends: Mapping[tuple[str, int], int]
    lag: Mapping[int, int]

    def partitions(self, topic: str) -> set[int]:
        """Return the partitions of a topic; none while it is not there."""
        return {partition for name, partition in self.ends if name == topic}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        records = CounterMetricFamily(
            "car_price_topic_records",
            "Records ever appended, by the ends of the partitions.",
            labels=["topic"],
        )
        for topic in TOPICS:
            if partitions := self.partitions(topic):
                records.add_metric([topic], sum(self.ends[topic, partition] for partition in partitions))
        yield records
        lag = GaugeMetricFamily(
            "car_price_serving_lag_records",
            "Records of listings since the first request not known to be answered, prices included.",
            labels=["partition"],
        )
        for partition, records_behind in self.lag.items():
            lag.add_metric([str(partition)], records_behind)
        yield lag


@contextmanager
def consumer(bootstrap_servers: str) -> Iterator[Consumer]:
    """Give the consumer that :func:`look` asks by; it reads no record."""
    asking = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": MARKER_GROUP,  # never joined
            "enable.auto.commit": False,
            "log_level": 0,  # the exporter itself says when Kafka is away, once
        }
    )
    try:
        yield asking
    finally:
        asking.close()


def look(consumer: Consumer) -> Offsets:
    """Look the offsets up. Raises :class:`confluent_kafka.KafkaException` when Kafka is away."""
    there = consumer.list_topics(timeout=_TIMEOUT_S).topics
    places = [
        TopicPartition(topic, partition)
        for topic in TOPICS
        if topic in there
        for partition in there[topic].partitions
    ]
    # The marker first: what is answered meanwhile makes the lag too large by a moment, never negative.
    markers = _markers(consumer, [place for place in places if place.topic == LISTINGS])
    ends, lag = {}, {}
    for place in places:
        begin, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        ends[place.topic, place.partition] = end
        if place.topic == LISTINGS:
            lag[place.partition] = end - max(begin, markers[place.partition])
    return Offsets(ends, lag)


def _markers(consumer: Consumer, listings: list[TopicPartition]) -> dict[int, int]:
    """Return serving's marker by partition; negative where no server has led yet."""
    committed = consumer.committed(listings, timeout=_TIMEOUT_S) if listings else []
    if error := next((place.error for place in committed if place.error), None):
        raise KafkaException(error)
    return {place.partition: place.offset for place in committed}
