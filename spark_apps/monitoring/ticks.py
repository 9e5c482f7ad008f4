"""Ticks: records that say "it is now this late", so that the last window closes though nothing else comes.

They go through Kafka, into a topic of their own that the windows' query reads together with ``outcomes``:
one source, whose ends are looked up at one moment, and one clock, the broker's. So a tick cannot overtake
an outcome, however long the application was down and however much is waiting: when a tick can be read, every
outcome that was recorded before it can be read too, and is read in the same batch or an earlier one. (Spark's
own rate source takes the driver's clock and knows nothing of what waits in Kafka.)

A tick is sent only when a window waits for one, so an idle application has nothing to do. (Drift sends one
when its window may be over, to be told the time by the broker.)
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaException, Producer

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from spark_apps.monitoring.progress import Progress

log = structlog.get_logger()

_DELIVERY_S = 2.0


def closing_time(watermark: datetime, *, step: float, delay: float) -> datetime:
    """Return when the first window still open at ``watermark`` can be closed; durations in seconds.

    A window ends every ``step``, however long it is.
    """
    end = (math.floor(watermark.timestamp() / step) + 1) * step
    return datetime.fromtimestamp(end + delay, UTC)


class Ticker:
    """Sends a tick whenever a window could be closed by one."""

    def __init__(self, send: Callable[[], object], *, step: float, delay: float, patience: float) -> None:
        """Send by ``send``; repeat a tick that changed nothing after ``patience`` seconds."""
        self._send = send
        self._step = step
        self._delay = delay
        self._patience = patience
        self._last: datetime | None = None

    def wake(self, now: datetime) -> None:
        """Send a tick unasked: after a start nobody knows yet which windows were left open."""
        self._last = now
        self._send()

    def on_progress(self, progress: Progress, now: datetime) -> None:
        """Send a tick if a window is open that can be closed now."""
        if progress.open_windows and self._is_due(progress.watermark, now):
            self.wake(now)

    def _is_due(self, watermark: datetime, now: datetime) -> bool:
        if now < self._closing_time(watermark):
            return False
        # By the clock, since the watermark of the last batch is old: the window after may have ended too.
        latest = self._closing_time(now - timedelta(seconds=self._step + self._delay))
        if self._last is None or self._last < latest:
            return True
        return (now - self._last).total_seconds() >= self._patience

    def _closing_time(self, watermark: datetime) -> datetime:
        return closing_time(watermark, step=self._step, delay=self._delay)


def kafka_sender(bootstrap_servers: str, topic: str) -> Callable[[], int | None]:
    """Return a function that appends a tick to ``topic`` and says what time it is by the broker's clock.

    In ms since 1970; null when it fails, which is logged, and tried again when due.
    """
    producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0, "message.timeout.ms": 5000})

    def send() -> int | None:
        recorded: list[int] = []

        def delivered(error: object, message: Message) -> None:
            if error is not None:
                log.warning("monitoring.tick_failed", reason=str(error))
            else:
                recorded.append(message.timestamp()[1])

        try:
            producer.produce(topic, value=b'{"kind": "tick"}', on_delivery=delivered)
            producer.flush(_DELIVERY_S)
        except (BufferError, KafkaException) as error:
            log.warning("monitoring.tick_failed", reason=str(error))
        return recorded[0] if recorded else None

    return send
