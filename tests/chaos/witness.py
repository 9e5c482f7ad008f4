"""The live reader: follows ``predictions`` from the campaign's beginning on and keeps what it saw."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from control_plane.topics import PREDICTIONS

if TYPE_CHECKING:
    from confluent_kafka import Message


class _Place(msgspec.Struct):
    partition: int
    offset: int


_PLACES = msgspec.json.Decoder(_Place)


@dataclass(frozen=True)
class Record:
    """A record of ``predictions``: where it stands and since when (ms of the broker's clock)."""

    partition: int
    position: int
    written_ms: int
    value: bytes | None

    @classmethod
    def of(cls, message: Message) -> Record:
        """Take over what a reader got."""
        return cls(message.partition() or 0, message.offset() or 0, message.timestamp()[1], message.value())


class Witness:
    """Reads in a thread of its own while the context lasts."""

    def __init__(self, kafka: str, partitions: int) -> None:
        self.seen: list[Record] = []
        self.answered: set[tuple[int, int]] = (
            set()
        )  # the requests that have an answer, by (partition, offset)
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="witness", daemon=True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": "chaos-witness",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )
        self._consumer.assign([TopicPartition(PREDICTIONS, number, 0) for number in range(partitions)])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _follow(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            if (error := message.error()) is not None:
                if not error.retriable():
                    self.errors.append(error.str())
                continue
            record = Record.of(message)
            self.seen.append(record)
            try:
                place = _PLACES.decode(record.value or b"")
                self.answered.add((place.partition, place.offset))
            except msgspec.DecodeError as error:
                self.errors.append(f"{record} is no answer: {error}")
