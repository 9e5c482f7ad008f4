"""The ledger over Kafka: follows both topics, tells a new leader where to begin, and keeps the marker.

A standby follows too, so that a hand-over has only the last milliseconds to read.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import msgspec
import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from control_plane.patience import passes, patiently
from control_plane.prices import is_price
from control_plane.topics import LISTINGS
from spark_apps.serving.ledger import Marker, PartitionLedger, Resume
from spark_apps.serving.output import LIVE, Output
from spark_apps.serving.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from confluent_kafka import Message

log = structlog.get_logger()

_TIMEOUT_S = 10.0
_ASK_S = 1.0  # what is asked while others wait for this thread, its heartbeat among them
_POLL_S = 0.02  # how long a new leader may have to wait for the follower's attention
_BEAT_S = 1.0
_BATCH = 500
_AHEAD = 20_000  # requests read and not answered; beyond it the listings wait
_STILL_S = 0.025  # a dead server's last bytes may still be in the broker's socket: wait for its end to rest


_FATAL = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
}


class LedgerError(RuntimeError):
    """The ledger cannot be read on; the message says what is wrong and what to do."""


class _Answer(msgspec.Struct):
    offset: int
    epoch: int = 0


class Follower:
    """Follows ``listings`` and the output from the marker on, in a thread of its own once started.

    What was asked before ``since`` is nothing to it, when that is given.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        partitions: int,
        output: Output = LIVE,
        *,
        since: datetime | None = None,
        every_s: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._output = output
        self._since = since
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": output.marker_group,  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                # Collected for 50 ms rather than one by one: it follows a whole topic for a rare hand-over.
                "fetch.wait.max.ms": 50,
                "fetch.min.bytes": 1_000_000,
                "queued.max.messages.kbytes": 8192,
            }
        )
        self._decode = msgspec.json.Decoder(_Answer).decode
        self._partitions = range(partitions)
        self._every_s = every_s
        self._failed = failed
        self._take_the_lead = threading.Event()
        self._resumes: Future[dict[int, Resume]] = Future()
        self._leads = False
        self._committed: dict[int, Marker] = {}
        self._held: set[int] = set()
        self._ledgers: dict[int, PartitionLedger] = {}
        self._passed: dict[int, int] = {}
        self._heartbeat: Path | None = None
        self._beat_due = 0.0
        self._progress = Progress()

    def beat(self, heartbeat: Path | None) -> None:
        """From now on touch this file, for as long as all is well."""
        self._heartbeat = heartbeat

    def start(self) -> None:
        """Read the marker, begin there, and go on in the background."""
        self._ledgers = {
            partition: PartitionLedger.from_marker(marker) for partition, marker in self._markers().items()
        }
        self._passed = {partition: ledger.listed for partition, ledger in self._ledgers.items()}
        self._consumer.assign(
            [
                TopicPartition(topic, partition, offset)
                for partition, ledger in self._ledgers.items()
                for topic, offset in ((LISTINGS, ledger.listed), (self._output.topic, ledger.answers_read))
            ]
        )
        threading.Thread(target=self._run, name="ledger", daemon=True).start()

    @property
    def passed(self) -> dict[int, int]:
        """By partition, an offset of ``listings`` below which all is answered; some seconds old."""
        return self._passed

    @property
    def read(self) -> dict[int, int]:
        """By partition, the next offset of ``listings`` to be read."""
        return {partition: ledger.listed for partition, ledger in self._ledgers.items()}

    @property
    def epoch(self) -> int:
        """The highest epoch seen in an answer."""
        return max((ledger.epoch for ledger in self._ledgers.values()), default=0)

    @property
    def leads(self) -> bool:
        """Whether this server has been told to take the lead."""
        return self._take_the_lead.is_set()

    def settle(self) -> dict[int, Resume]:
        """Read the output to an end that stands still, and return where each partition goes on.

        To be called by the new leader, when its predecessor is gone. From then on the marker is kept.
        """
        self._take_the_lead.set()
        return self._resumes.result()

    def _read_to_the_end(self) -> None:
        ends, since = self._ends(self._output.topic), time.monotonic()
        while True:
            self._beat()
            self._step(0.002)
            behind = any(self._ledgers[p].answers_read < ends[p] for p in self._partitions)
            if behind or self._requests_missing():
                continue
            if time.monotonic() - since >= _STILL_S:
                ends, before = self._ends(self._output.topic), ends
                if ends == before:
                    return
                since = time.monotonic()

    def _requests_missing(self) -> bool:
        """Whether answers are there whose requests are still to be read: they tell holes from prices."""
        ahead = [p for p in self._partitions if self._ledgers[p].answers_ahead]
        if not ahead:
            return False
        ends = self._ends(LISTINGS)
        return any(self._ledgers[p].listed < ends[p] for p in ahead)

    def _ends(self, topic: str) -> dict[int, int]:
        """Return the topic's ends, however long that takes: nobody else could tell a leader either."""
        while (ends := self._ends_now(topic)) is None:
            self._beat()
        return ends

    def _ends_now(self, topic: str) -> dict[int, int] | None:
        """Return the topic's ends; None while the broker does not say."""
        places = [TopicPartition(topic, partition) for partition in self._partitions]
        try:
            found = [self._consumer.get_watermark_offsets(place, timeout=_ASK_S) for place in places]
        except KafkaException as error:
            if not passes(error):
                raise
            return None
        return {place.partition: end for place, (_, end) in zip(places, found, strict=True)}

    def _run(self) -> None:
        due = time.monotonic() + self._every_s
        try:
            while True:
                self._step(_POLL_S)
                self._beat()
                if self._take_the_lead.is_set() and not self._leads:
                    self._read_to_the_end()
                    self._resumes.set_result({p: ledger.resume() for p, ledger in self._ledgers.items()})
                    self._leads = True
                if time.monotonic() >= due:
                    self._forget_answers_to_nothing()
                    self._passed = {p: ledger.marker().listings for p, ledger in self._ledgers.items()}
                    self._keep_marker()
                    due = time.monotonic() + self._every_s
        except Exception as error:  # the thread's border: the server ends with it
            self._failed(error)

    def _beat(self) -> None:
        """Give a sign of life, once a second at most; none when this server leads and gets nowhere."""
        if time.monotonic() < self._beat_due:
            return
        self._beat_due = time.monotonic() + _BEAT_S
        listed = sum(self.read.values())
        waiting = any(ledger.unanswered for ledger in self._ledgers.values())
        well = self._progress.is_made(listed, sum(self._passed.values()), waiting=waiting)
        if self._heartbeat and (well or not self._leads):
            self._heartbeat.touch()

    def _step(self, wait_s: float) -> None:
        messages = self._consumer.consume(_BATCH, wait_s)
        for message in messages:
            self._take(message)
        self._hold_back()

    def _take(self, message: Message) -> None:
        partition, offset = _place(message)
        ledger = self._ledgers[partition]
        if (error := message.error()) is not None:
            self._take_error(message, error)
        elif message.topic() == LISTINGS:
            ledger.read_listing(offset, needs_answer=not is_price(message.value()))
        else:
            try:
                answer = self._decode(message.value() or b"")
                ledger.read_answer(offset, answer.offset, answer.epoch)
            except msgspec.DecodeError:
                ledger.answers_end(offset + 1)
                log.warning("ledger.no_answer", partition=partition, offset=offset)

    def _take_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            partition, end = _place(message)
            ledger = self._ledgers[partition]
            if message.topic() == LISTINGS:
                ledger.listings_end(end)
            else:
                ledger.answers_end(end)
        elif error.code() in _FATAL:  # anything else passes: librdkafka connects again by itself
            raise LedgerError(f"{message.topic()}[{message.partition()}] cannot be followed: {error.str()}")

    def _hold_back(self) -> None:
        """Let listings wait while too many requests have no answer: a backlog stays with the broker."""
        for partition, ledger in self._ledgers.items():
            listings = [TopicPartition(LISTINGS, partition)]
            if partition in self._held and ledger.unanswered < _AHEAD // 2:
                self._consumer.resume(listings)
                self._held.discard(partition)
            elif partition not in self._held and ledger.unanswered >= _AHEAD:
                self._consumer.pause(listings)
                self._held.add(partition)

    def _forget_answers_to_nothing(self) -> None:
        """Let go of answers beyond the end of listings: no server wrote them, and the marker waits."""
        ahead = {p: ledger for p, ledger in self._ledgers.items() if ledger.answers_ahead}
        if not ahead:
            return
        ends = self._ends_now(LISTINGS)
        if ends is None:
            return
        for partition, ledger in ahead.items():
            if ledger.listed >= ends[partition] and (offsets := ledger.forget_answers_to_nothing()):
                log.warning("ledger.answers_to_nothing", partition=partition, offsets=offsets[:10])

    def _keep_marker(self) -> None:
        if not self._leads:
            return
        markers = {partition: ledger.marker() for partition, ledger in self._ledgers.items()}
        moved = {p: marker for p, marker in markers.items() if self._committed.get(p) != marker}
        if moved:
            self._consumer.commit(
                offsets=[
                    TopicPartition(LISTINGS, p, marker.listings, str(marker.predictions))
                    for p, marker in moved.items()
                ],
                asynchronous=True,
            )
            self._committed |= moved

    def _markers(self) -> dict[int, Marker]:
        """Return the committed markers, brought within what the topics still hold."""
        listings = [TopicPartition(LISTINGS, p) for p in self._partitions]
        found = patiently(lambda: self._consumer.committed(listings, timeout=_TIMEOUT_S))
        committed = {one.partition: one for one in found}
        begins = self._begins()
        markers = {}
        for partition in self._partitions:
            first, end = self._range(LISTINGS, partition)
            answers_first, answers_end = self._range(self._output.topic, partition)
            marker = committed[partition]
            if marker.offset < 0:
                begin = max(first, begins.get(partition, 0))
                log.warning("ledger.no_marker", partition=partition, begins_at=begin)
                markers[partition] = Marker(begin, answers_first)
                continue
            markers[partition] = Marker(
                self._within(max(marker.offset, begins.get(partition, 0)), first, end, partition),
                _answers_from(marker.metadata, answers_first, answers_end),
            )
        return markers

    def _begins(self) -> dict[int, int]:
        """Return by partition the first request since the moment that this is about, when there is one."""
        if self._since is None:
            return {}
        moment = round(self._since.timestamp() * 1000)
        places = [TopicPartition(LISTINGS, partition, moment) for partition in self._partitions]
        found = patiently(lambda: self._consumer.offsets_for_times(places, timeout=_TIMEOUT_S))
        return {
            place.partition: place.offset if place.offset >= 0 else self._range(LISTINGS, place.partition)[1]
            for place in found
        }

    def _range(self, topic: str, partition: int) -> tuple[int, int]:
        place = TopicPartition(topic, partition)
        low, high = patiently(lambda: self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_S))
        return low, high

    def _within(self, offset: int, first: int, end: int, partition: int) -> int:
        if offset > end:
            raise LedgerError(
                f"{LISTINGS}[{partition}] ends at {end}, before the marker at {offset}: was it made anew? "
                f"Then delete the consumer group {self._output.marker_group}, and all of it is read again"
            )
        if offset < first:
            log.error("ledger.requests_expired", partition=partition, marker=offset, first=first)
        return max(offset, first)


def _place(message: Message) -> tuple[int, int]:
    """Return the message's partition and offset, which every message that was read has."""
    partition, offset = message.partition(), message.offset()
    assert partition is not None  # noqa: S101
    assert offset is not None  # noqa: S101
    return partition, offset


def _answers_from(metadata: str | None, first: int, end: int) -> int:
    """Return the marker's position in predictions; its beginning when the topic was emptied or made anew."""
    position = int(metadata) if metadata and metadata.isdecimal() else first
    return position if first <= position <= end else first
