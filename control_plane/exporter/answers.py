"""Answers as they come in ``predictions``: how many, of which version, how late. No network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram, disable_created_metrics

from control_plane import records
from control_plane.exporter.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

# When a series began would double their number, and Prometheus tells resets without it.
disable_created_metrics()  # type: ignore[no-untyped-call]

_STATUSES = ("predicted", "rejected")
# From a bare relay's millisecond over a hand-over's tenths of a second to an outage.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PLACES = 50_000  # of answers remembered, to tell a second one; about 10 MB


class Answers:
    """Counts since this exporter began; the ``versions`` that answered last have series.

    The first answer to a request counts (the rule for reading ``predictions``), a second one only as a
    repeat. It is recognised among the last 50,000.
    """

    def __init__(self, versions: int) -> None:
        self._answers = Counter(
            "car_price_answers",
            "Requests answered, since this exporter began.",
            ["model_version", "status"],
            registry=None,
        )
        self._latency = Histogram(
            "car_price_answer_latency_seconds",
            "From a request's record to its answer's, by the broker's clock.",
            buckets=_BUCKETS,
            registry=None,
        )
        self._repeats = Counter(
            "car_price_repeated_answers",
            "Answers to requests that had one, which readers discard, since this exporter began.",
            registry=None,
        )
        self._seen: Recent[tuple[int, int], None] = Recent(_PLACES, lambda: None)
        self._versions: Recent[int, None] = Recent(versions, lambda: None, self._forget)

    def take(self, value: bytes, recorded_ms: int) -> None:
        """Take the record of an answer and its broker's time; raises :class:`records.RecordError`."""
        answer = records.answer(value)
        place = (answer.partition, answer.offset)
        if place in self._seen:
            self._repeats.inc()
            return
        self._seen.use(place)
        if answer.model_version not in self._versions:
            for status in _STATUSES:  # at 0 from the start: a rate needs a value to rise from
                self._answers.labels(answer.model_version, status)
        self._versions.use(answer.model_version)
        self._answers.labels(answer.model_version, answer.status).inc()
        self._latency.observe(max(0, recorded_ms - answer.requested_ms) / 1000)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for metric in (self._answers, self._latency, self._repeats):
            yield from metric.collect()

    def _forget(self, version: int) -> None:
        for status in _STATUSES:
            self._answers.remove(version, status)
