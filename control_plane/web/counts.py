"""How much there is and how much waits, asked of the broker: ends of topics, and the serving marker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from control_plane import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TIMEOUT_S = 4.0


def client(bootstrap_servers: str) -> dict[str, str | int | float | bool]:
    """Return how the page's Kafka clients find the brokers: soon again, when they come back."""
    return {"bootstrap.servers": bootstrap_servers, "reconnect.backoff.max.ms": 1000}


class Counts:
    """Asks a broker. Raises :class:`confluent_kafka.KafkaException` when it does not answer."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._admin = AdminClient(client(bootstrap_servers))

    def partitions(self) -> dict[str, list[int]]:
        """Return the partitions of each topic that there is."""
        found = self._admin.list_topics(timeout=_TIMEOUT_S).topics
        return {name: sorted(topic.partitions) for name, topic in found.items()}

    def look(self, partitions: Iterable[TopicPartition], answered_to: Mapping[int, int]) -> dict[str, Any]:
        """Return how many records each data topic has taken, and how many records of ``listings`` wait.

        What lies before the marker is answered or needs no answer, and so does what lies before an answer
        (``answered_to``, which knows of it up to a second earlier). Prices since then count until the marker
        passes them.
        """
        ends = self._ends(partitions)
        marker = self._marker()
        waiting = 0
        for partition in (found for found in ends if found.topic == topics.LISTINGS):
            number = partition.partition
            done = max(answered_to.get(number, 0), marker.get(number, 0))
            waiting += max(0, ends[partition] - done)
        totals: dict[str, int] = {}
        for partition, end in ends.items():
            totals[partition.topic] = totals.get(partition.topic, 0) + end
        return {"waiting": waiting, "totals": totals}

    def _ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        latest: dict[TopicPartition, Any] = dict.fromkeys(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        asked = self._admin.list_offsets(latest, request_timeout=_TIMEOUT_S)
        return {partition: future.result().offset for partition, future in asked.items()}

    def _marker(self) -> dict[int, int]:
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(topics.MARKER_GROUP)], request_timeout=_TIMEOUT_S
        )
        try:
            found = asked[topics.MARKER_GROUP].result().topic_partitions
        except KafkaException:
            return {}  # nobody has served yet, or the coordinator of the group is on its way
        return {place.partition: place.offset for place in found if place.topic == topics.LISTINGS}
