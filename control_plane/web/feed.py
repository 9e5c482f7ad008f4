"""Reads the topics into the board, for as long as the page runs and however often the broker goes away."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from control_plane import topics
from control_plane.web import latency
from control_plane.web.board import Board
from control_plane.web.counts import Counts, client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Message

    from control_plane.records import Answer
    from control_plane.web.board import Section

log = structlog.get_logger()

READ = (
    topics.CONTROL_BATCHES,
    topics.CONTROL_MODELS,
    topics.CONTROL_SERVERS,
    topics.METRICS,
    topics.PREDICTIONS,
)
COUNTED = (topics.LISTINGS, topics.PREDICTIONS, topics.OUTCOMES)

MOST_ANSWERS = 50_000  # of a partition, read back at a start, however many its quarter of an hour holds
_TIMEOUT_S = 5.0
_SILENCE_S = 10.0
_PAUSE_S = 1.0
_TOGETHER_S = 0.05  # answers that come within this are taken together
_LOOK_EVERY_S = 1.0
_PARTITIONS_EVERY_S = 30.0


class _StartAgainError(RuntimeError):
    """The topics are not what was read: the board has to be made anew."""


@dataclass(frozen=True)
class Reach:
    """Whether the topics can be read; ``since`` is Unix time, ``problem`` a sentence when they cannot."""

    problem: str | None
    since: float


class Feed:
    """A thread that reads. ``on_answer`` is told each answer that comes while it runs, in that thread."""

    def __init__(
        self, bootstrap_servers: str, history_s: float, on_answer: Callable[[Answer, int], None]
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._history_s = history_s
        self._on_answer = on_answer
        self._board: Board | None = None
        self._lock = threading.Lock()  # of the board
        self._reach = Reach("connecting", time.time())
        self._counts: dict[str, Any] = {"waiting": None, "totals": {}}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; an answer that is on its way is waited for."""
        self._stopping.set()
        self._thread.join(_TIMEOUT_S)

    @property
    def alive(self) -> bool:
        """Whether it still reads, or tries to."""
        return self._thread.is_alive()

    def changed(self, now: float) -> dict[str, Section]:
        """Return the sections that changed since the last call; of the board none before it is read."""
        reach = {"problem": self._reach.problem, "since": self._reach.since}
        if self._board is None:
            return {"kafka": reach}
        with self._lock:
            sections = self._board.changed(now)
        return sections | {"traffic": {**sections["traffic"], **self._counts}, "kafka": reach}

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except KafkaException as error:
                self._out_of_reach(self._silence(error))
            except _StartAgainError as error:
                self._out_of_reach(str(error))
            self._stopping.wait(_PAUSE_S)

    def _out_of_reach(self, problem: str) -> None:
        if self._reach.problem is None or self._reach.problem == "connecting":
            log.warning("web.feed_interrupted", problem=problem)
            self._reach = Reach(problem, time.time())
        else:
            self._reach = Reach(problem, self._reach.since)

    def _in_reach(self) -> None:
        if self._reach.problem is not None:
            log.info("web.feed_reads", seconds=round(time.time() - self._reach.since, 1))
            self._reach = Reach(None, time.time())

    def _follow(self) -> None:
        """Read from where the history begins, until it has to be read anew."""
        counts = Counts(self._bootstrap_servers)
        partitions = _those(counts.partitions())
        consumer = Consumer(
            {
                **client(self._bootstrap_servers),
                "group.id": "web",  # never joined: partitions are assigned by hand and nothing is committed
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                # Says when all is read, also where compaction has removed the last record.
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 8192,
            }
        )
        try:
            starts = list(self._starts(consumer, partitions))
            consumer.assign(starts)
            board = self._read_back(consumer, starts)
            self._in_reach()
            self._read_on(consumer, board, counts, partitions)
        finally:
            consumer.close()

    def _starts(self, consumer: Consumer, partitions: dict[str, list[int]]) -> Iterable[TopicPartition]:
        now_ms = round(time.time() * 1000)
        since = {
            topics.METRICS: now_ms - round(self._history_s * 1000),
            topics.PREDICTIONS: now_ms - latency.BINS * latency.BIN_S * 1000,
        }
        for topic in READ:
            for number in partitions[topic]:
                if topic not in since:
                    yield TopicPartition(topic, number, OFFSET_BEGINNING)
                    continue
                asked = [TopicPartition(topic, number, since[topic])]
                [found] = consumer.offsets_for_times(asked, timeout=_TIMEOUT_S)
                end = consumer.get_watermark_offsets(found, timeout=_TIMEOUT_S)[1]
                start = end if found.offset == OFFSET_END else found.offset
                if topic == topics.PREDICTIONS:
                    start = max(start, end - MOST_ANSWERS)
                yield TopicPartition(topic, number, start)

    def _read_back(self, consumer: Consumer, starts: list[TopicPartition]) -> Board:
        """Read what there is into a new board, then show that one."""
        board = Board(self._history_s)
        left = {(start.topic, start.partition) for start in starts}
        give_up = time.monotonic() + _SILENCE_S
        while left and not self._stopping.is_set():
            messages = consumer.consume(2000, 0.2)
            if messages:
                give_up = time.monotonic() + _SILENCE_S
            elif time.monotonic() > give_up:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            left -= {(m.topic() or "", m.partition() or 0) for m in messages if _is_end(m)}
            self._tell(_take(board, messages))
        with self._lock:
            self._board = board
        return board

    def _read_on(
        self, consumer: Consumer, board: Board, counts: Counts, partitions: dict[str, list[int]]
    ) -> None:
        counted = [TopicPartition(name, number) for name in COUNTED for number in partitions[name]]
        look, look_at_partitions = 0.0, time.monotonic() + _PARTITIONS_EVERY_S
        while not self._stopping.wait(_TOGETHER_S):
            first = consumer.poll(_LOOK_EVERY_S / 4)
            if first is not None:
                messages = [first, *consumer.consume(2000, 0)]
                with self._lock:
                    answers = _take(board, messages)
                self._tell(answers)
            if time.monotonic() >= look:
                look = time.monotonic() + _LOOK_EVERY_S
                self._look(board, counts, counted)
            if time.monotonic() >= look_at_partitions:
                look_at_partitions = time.monotonic() + _PARTITIONS_EVERY_S
                self._check(counts, partitions)

    def _tell(self, answers: list[tuple[Answer, int]]) -> None:
        for answer, recorded_ms in answers:
            self._on_answer(answer, recorded_ms)

    def _look(self, board: Board, counts: Counts, counted: list[TopicPartition]) -> None:
        try:
            self._counts = counts.look(counted, board.answered_to)
            self._in_reach()
        except KafkaException as error:
            self._out_of_reach(self._silence(error))

    def _check(self, counts: Counts, partitions: dict[str, list[int]]) -> None:
        try:
            found = counts.partitions()
        except KafkaException:
            return  # an outage is told by what is looked at every second
        if _those(found) != partitions:
            raise _StartAgainError("a topic has other partitions now")

    def _silence(self, error: KafkaException) -> str:
        return f"{self._bootstrap_servers} does not answer ({error.args[0].str()})"


def _take(board: Board, messages: list[Message]) -> list[tuple[Answer, int]]:
    """Let the board take the records; return the first answers among them, with when they were recorded."""
    answers = []
    for message in _usable(messages):
        topic, key, value, recorded_ms = _record(message)
        if (answer := board.take(topic, key, value, recorded_ms)) is not None:
            answers.append((answer, recorded_ms))
    return answers


def _usable(messages: list[Message]) -> Iterable[Message]:
    for message in messages:
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise _StartAgainError(f"{message.topic()} no longer holds what was to be read next")


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _those(found: dict[str, list[int]]) -> dict[str, list[int]]:
    wanted = sorted({*READ, *COUNTED})
    if missing := [name for name in wanted if not found.get(name)]:
        raise _StartAgainError(f"topics are missing: {', '.join(missing)}")
    return {name: found[name] for name in wanted}


def _record(message: Message) -> tuple[str, bytes | None, bytes | None, int]:
    return message.topic() or "", message.key(), message.value(), message.timestamp()[1]
