"""The exporter as a part: ``with Exporter(servers, settings) as exporter``, then serve its ``registry``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import structlog
from confluent_kafka import KafkaException
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from control_plane.exporter import offsets
from control_plane.exporter.answers import Answers
from control_plane.exporter.following import LostPlaceError, following
from control_plane.exporter.held_out import HeldOutErrors
from control_plane.exporter.ledger import Ledger
from control_plane.registry import Registry
from control_plane.topics import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from control_plane.exporter.following import TopicReader
    from control_plane.exporter.settings import ExporterSettings
    from control_plane.settings import Servers

log = structlog.get_logger()

_AGAIN_S = 1.0
_STOP_S = 1.0


class Exporter(Collector):
    """Follows the topics in threads of its own, and gives ``registry`` what they say, to be served anywhere.

    ``prometheus_client.make_asgi_app(exporter.registry)`` is an application to mount at ``/metrics``. Nothing
    waits for a server: while Kafka or MLflow is away, what is known stays, and what is not known is not told.
    """

    def __init__(self, servers: Servers, settings: ExporterSettings) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._kafka = servers.kafka_bootstrap_servers
        self._settings = settings
        self._answers = Answers(settings.versions)
        self._held_out = HeldOutErrors(Registry(servers.mlflow_tracking_uri))
        self._ledger: Ledger | None = None  # until the topics were read to their end once
        self._offsets: offsets.Offsets | None = None  # unless Kafka answered when it was asked last
        self._lock = threading.Lock()  # of what the ledger and the answers hold
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to follow. Returns at once, whether Kafka answers or not."""
        self._stopped.clear()
        works = (self._follow, self._look, self._ask)
        self._threads = [threading.Thread(target=work, name="exporter", daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; one that waits for a server that is away is not waited for."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ready(self) -> bool:
        """Whether the topics were read to their end once: only from then on their metrics are told."""
        return self._ledger is not None

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        look, ledger = self._offsets, self._ledger
        yield GaugeMetricFamily(
            "car_price_exporter_kafka_up", "Whether Kafka answered when it was asked last.", value=bool(look)
        )
        if look:
            yield from look.collect()
        yield from self._held_out.collect()
        if ledger:
            with self._lock:
                metrics = [*ledger.collect(time.time()), *self._answers.collect()]
            yield from metrics

    def _follow(self) -> None:
        """Follow the topics, from the beginning again where they cannot be read on."""
        said = ""
        while not self._stopped.is_set():
            try:
                with following(self._kafka, self._settings.window_age) as reader:
                    self._take_from(reader)
            except (KafkaException, LostPlaceError) as error:
                if said != (said := str(error)):
                    log.warning("exporter.begins_anew", reason=said)
            except Exception:  # the thread's border: what is told must not stand still in silence
                log.exception("exporter.failed")
            self._stopped.wait(_AGAIN_S)

    def _take_from(self, reader: TopicReader) -> None:
        settings = self._settings
        ledger = Ledger(self._answers, settings.versions, settings.window_age)
        while not self._stopped.is_set():
            records = reader.read()
            with self._lock:
                for record in records:
                    ledger.take(record)
            if reader.caught_up and self._ledger is not ledger:
                # Not before: counters that grow once more from nothing would look like new events.
                self._ledger = ledger
                log.info("exporter.caught_up")
            if look := self._offsets:
                reader.check(look.partitions(PREDICTIONS))

    def _look(self) -> None:
        """Look the offsets up, again and again."""

        def look() -> None:
            before = self._offsets
            try:
                self._offsets = offsets.look(consumer)
            except KafkaException as error:
                self._offsets = None
                if before:
                    log.warning("exporter.kafka_away", reason=str(error))

        with offsets.consumer(self._kafka) as consumer:
            self._every(look)

    def _ask(self) -> None:
        """Ask MLflow for the errors of versions that became known, in a thread of its own: it may hang."""

        def ask() -> None:
            if ledger := self._ledger:
                with self._lock:
                    runs = ledger.runs
                self._held_out.ask(runs)

        self._every(ask)

    def _every(self, work: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                work()
            except Exception:  # the thread's border, as above
                log.exception("exporter.failed")
            self._stopped.wait(self._settings.every)
