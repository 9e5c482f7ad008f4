"""Following the topics: the control topics from their beginning, recent windows, answers from now on."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from control_plane.topics import CONTROL_BATCHES, CONTROL_MODELS, CONTROL_SERVERS, METRICS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

_FROM_THE_BEGINNING = (CONTROL_BATCHES, CONTROL_MODELS, CONTROL_SERVERS)
_TIMEOUT_S = 10.0
_BATCH = 500
_POLL_S = 0.2
# Nothing that passes: the topic is gone, or was made anew. Everything is read again then.
_FATAL = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


class LostPlaceError(RuntimeError):
    """The topics cannot be read on from here, only anew; the message says why."""


class TopicReader:
    """Reads records in batches from ``places`` on. Up to ``ends`` they are the past, told all at once."""

    def __init__(
        self, consumer: Consumer, places: list[TopicPartition], ends: dict[tuple[str, int], int]
    ) -> None:
        self._consumer = consumer
        self._answered = {place.partition for place in places if place.topic == PREDICTIONS}
        self._past = {place: end for place, end in ends.items() if end > 0}
        consumer.assign(places)

    @property
    def caught_up(self) -> bool:
        """Whether all of the past has been read."""
        return not self._past

    def read(self) -> list[Message]:
        """Return the next records, none if none come in 0.2 s. Raises :class:`LostPlaceError`."""
        records = []
        for message in self._consumer.consume(_BATCH, _POLL_S):
            if (error := message.error()) is None:
                records.append(message)
                self._passed(message, 1)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._passed(message, 0)
            elif error.code() in _FATAL:
                raise LostPlaceError(f"{message.topic()} cannot be read on: {error.str()}")
        return records

    def _passed(self, message: Message, records: int) -> None:
        # Not only where Kafka says that a partition ends: it does not while records come without a pause.
        place = (message.topic() or "", message.partition() or 0)
        if (message.offset() or 0) + records >= self._past.get(place, 0):
            self._past.pop(place, None)

    def check(self, partitions: set[int]) -> None:
        """Raise :class:`LostPlaceError` if ``predictions`` has partitions by now that are not read."""
        if new := partitions - self._answered:
            raise LostPlaceError(f"{PREDICTIONS} has new partitions: {', '.join(map(str, sorted(new)))}")


@contextmanager
def following(bootstrap_servers: str, window_age: float) -> Iterator[TopicReader]:
    """Give a reader of all topics; windows are read from those on that ended ``window_age`` seconds ago.

    Raises :class:`LostPlaceError` while topics are missing, and :class:`confluent_kafka.KafkaException` when
    Kafka is away.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "exporter",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,  # the exporter itself says when Kafka is away, once
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            # Times are the broker's: records may collect on their way here, and it has less to do.
            "fetch.min.bytes": 65_536,
            "fetch.wait.max.ms": 200,
        }
    )
    try:
        places = _places(consumer, window_age)
        yield TopicReader(consumer, places, _ends(consumer, places))
    finally:
        consumer.close()


def _places(consumer: Consumer, window_age: float) -> list[TopicPartition]:
    there = consumer.list_topics(timeout=_TIMEOUT_S).topics
    if missing := {*_FROM_THE_BEGINNING, METRICS, PREDICTIONS} - there.keys():
        raise LostPlaceError(f"topics are missing: {', '.join(sorted(missing))}")
    since = TopicPartition(METRICS, 0, int((time.time() - window_age) * 1000))
    windows = consumer.offsets_for_times([since], timeout=_TIMEOUT_S)
    answers = [TopicPartition(PREDICTIONS, partition) for partition in there[PREDICTIONS].partitions]
    for place in answers:
        # Looked up now: an end that is looked up at the first fetch would let answers slip by.
        place.offset = consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1]
    if error := next((place.error for place in windows if place.error), None):
        raise KafkaException(error)
    return [*(TopicPartition(name, 0, OFFSET_BEGINNING) for name in _FROM_THE_BEGINNING), *windows, *answers]


def _ends(consumer: Consumer, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
    """Return where the partitions end now, but for those of answers: they are read from there on."""
    return {
        (place.topic, place.partition): consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S)[1]
        for place in places
        if place.topic != PREDICTIONS
    }
