"""Drift: each window that is over, once, by a batch query over its records.

No streaming query: a window of the broker's time never changes once it is over, so all that is published of
it follows from the topics and the registered references. No state is kept, no watermark waited for, and
nothing runs in between. ``metrics`` itself says how far this has got; the last window is done once more after
a start, and comes out the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import KafkaException, Producer
from pyspark.sql import functions as F

from control_plane import topics
from control_plane.audit import LogUnavailableError
from control_plane.registry import RegistryUnavailableError
from spark_apps.monitoring import drift_records, kafka, tallies
from spark_apps.monitoring.drift_records import Span
from spark_apps.monitoring.topic_spans import TopicSpans, published_to

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from pyspark.sql import DataFrame, SparkSession

    from spark_apps.monitoring.references import References
    from spark_apps.monitoring.settings import Monitoring

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0
_AGAIN_S = 5.0
_VERSIONS = 3  # of one window, at most: those with the most answers
_DELIVERY_S = 30.0


def first_window(now: int, published_to: int | None, window: int, catch_up: int) -> Span:
    """Return the window to begin with, all in ms: the last one published, or the one that is open now.

    Windows begin at multiples of their length, whatever it was before and whoever writes to ``metrics``.
    """
    open_now = now // window * window
    last = open_now if published_to is None else (published_to - window) // window * window
    start = max(last, open_now - catch_up * window)
    return Span(start, start + window)


class UndeliveredError(RuntimeError):
    """Records did not reach ``metrics``; the message says why."""


_AWAY = (KafkaException, LogUnavailableError, RegistryUnavailableError, UndeliveredError)


class Drift:
    """Publishes the windows of drift and of estimated errors, from a thread of its own."""

    def __init__(
        self,
        spark: SparkSession,
        brokers: str,
        references: References,
        settings: Monitoring,
        max_request_bytes: int,
        broker_now: Callable[[], int | None],
    ) -> None:
        self._spark = spark
        self._brokers = brokers
        self._spans = TopicSpans(brokers)
        self._references = references
        self._settings = settings
        self._max_request_bytes = max_request_bytes
        self._broker_now = broker_now
        self._producer = Producer({"bootstrap.servers": brokers, "acks": "all", "linger.ms": 20})
        self._next: Span | None = None

    def run(self, stopping: threading.Event) -> None:
        """Publish each window when it is over, until ``stopping`` is set; what fails is tried again."""
        said = ""
        while not stopping.wait(_LOOK_EVERY_S):
            try:
                self._work()
                said = ""
            except Exception as error:  # the thread's border: drift must not stand still in silence
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                if reason != said and not stopping.is_set():
                    known = isinstance(error, _AWAY)
                    log.warning("monitoring.drift_waits", reason=reason, exc_info=None if known else error)
                said = reason
                stopping.wait(_AGAIN_S)

    def _work(self) -> None:
        window, now = round(self._settings.drift_window * 1000), round(time.time() * 1000)
        if self._next is None:
            since = now - (self._settings.drift_catch_up + 1) * window
            published = published_to(self._brokers, since)
            self._next = first_window(now, published, window, self._settings.drift_catch_up)
            log.info("monitoring.drift_begins", **self._next.fields())
        is_over = self._next.end + self._settings.delay * 1000
        # This machine's clock says when to ask, the broker's decides.
        if now >= is_over and (self._broker_now() or 0) >= is_over:
            self._publish(self._measured(self._next))
            self._next = Span(self._next.end, self._next.end + window)

    def _measured(self, span: Span) -> list[tuple[str, str]]:
        """Return the records of a window: the drifts, then the estimates."""
        begun = time.monotonic()
        if (predictions := self._records(topics.PREDICTIONS, span)) is None:
            return []
        answered = tallies.answers(predictions).persist()
        try:
            counts = (
                answered.groupBy("model_version").count().orderBy(F.desc("count"), F.desc("model_version"))
            )
            versions = [row["model_version"] for row in counts.limit(_VERSIONS).collect()]
            references = self._references.of(versions)
            if not references:
                return []
            found = tallies.of_answers(answered, references).collect()
            if (listings := self._records(topics.LISTINGS, span)) is not None:
                found += tallies.of_requests(listings, references, self._max_request_bytes).collect()
            expected = tallies.estimates(answered, references).collect()
        finally:
            answered.unpersist()
        counted: Any = (tuple(row) for row in found)
        drifts = drift_records.drifts(span, references, counted, self._settings.drift_at_least)
        made = [*drifts, *drift_records.estimates(span, [row.asDict() for row in expected])]
        seconds = round(time.monotonic() - begun, 2)
        log.info("monitoring.drift", **span.fields(), records=len(made), seconds=seconds)
        return made

    def _records(self, topic: str, span: Span) -> DataFrame | None:
        """Read the window's records, every so manieth where there are too many."""
        offsets = self._spans.offsets(topic, span)
        if not offsets:
            return None
        total = sum(end - first for first, end in offsets.values())
        every = -(-total // self._settings.drift_records)
        read = kafka.kept_records(self._spark, self._brokers, topic, offsets)
        return read if every == 1 else read.where(f"offset % {every} = 0")

    def _publish(self, made: Iterable[tuple[str, str]]) -> None:
        failed: list[str] = []

        def delivered(error: object, _message: object) -> None:
            if error is not None:
                failed.append(str(error))

        for key, value in made:
            self._producer.produce(topics.METRICS, key=key, value=value, on_delivery=delivered)
        if self._producer.flush(_DELIVERY_S) or failed:
            raise UndeliveredError(f"records of drift did not reach Kafka: {failed[:1] or 'no answer'}")
