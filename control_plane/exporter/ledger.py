"""What all the topics together come to: each record to the part that knows what it means. No network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily

from control_plane.events import EventError, decode
from control_plane.exporter.control_log import ControlLog
from control_plane.exporter.drift import Drifts
from control_plane.exporter.serving import ServingServers
from control_plane.exporter.windows import ErrorWindows
from control_plane.records import DriftWindow, ErrorWindow, EstimateWindow, RecordError, metric
from control_plane.topics import CONTROL_BATCHES, CONTROL_MODELS, CONTROL_SERVERS, METRICS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message
    from prometheus_client import Metric

    from control_plane import records
    from control_plane.exporter.answers import Answers

_UNREADABLE = (
    EventError,
    RecordError,
    UnicodeDecodeError,
    OverflowError,
    RecursionError,
)
READ = (CONTROL_BATCHES, CONTROL_MODELS, CONTROL_SERVERS, METRICS, PREDICTIONS)


class Ledger:
    """Takes the records of the topics :data:`READ`, each topic's in their order."""

    def __init__(self, answers: Answers, versions: int, window_age: float) -> None:
        self.log = ControlLog()
        self._answers = answers
        self._servers = ServingServers()
        self._errors = ErrorWindows(versions, window_age)
        self._drifts = Drifts(versions, window_age)
        self._versions = versions
        self._unreadable: Counter[str] = Counter()

    def take(self, message: Message) -> None:
        """Take a record; what cannot be read is counted."""
        topic = message.topic() or ""
        try:
            self._take(topic, message)
        except _UNREADABLE:
            self._unreadable[topic] += 1

    def _take(self, topic: str, message: Message) -> None:
        value = message.value()
        if topic == PREDICTIONS:
            self._answers.take(value or b"", message.timestamp()[1])
        elif topic == METRICS:
            self._take_metric(metric(value))
        elif topic == CONTROL_SERVERS:
            self._servers.take(message.key() or b"", value)
        else:
            self.log.take(decode(value))

    def _take_metric(self, window: records.Metric | None) -> None:
        match window:
            case ErrorWindow():
                self._errors.take(window)
            case DriftWindow() | EstimateWindow():
                self._drifts.take(window)

    @property
    def runs(self) -> dict[int, str]:
        """The MLflow runs of the newest versions, and of the one that serves however old it is."""
        newest = sorted(self.log.runs)[-self._versions :]
        serving = self.log.rollouts.serving
        return {version: run for version, run in self.log.runs.items() if version in {*newest, serving}}

    def collect(self, now: float) -> Iterator[Metric]:
        """Yield the metrics at ``now`` (seconds since the epoch)."""
        yield from self.log.collect()
        yield from self._servers.collect()
        yield from self._errors.collect(now)
        yield from self._drifts.collect(now)
        unreadable = CounterMetricFamily(
            "car_price_unreadable_records", "Records that were not as the topic's are.", labels=["topic"]
        )
        for topic in READ:
            unreadable.add_metric([topic], self._unreadable[topic])
        yield unreadable
