"""Watching running queries: what they did, whether they still run, and how they stop."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from spark_apps.monitoring.progress import Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql.streaming.query import StreamingQuery

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0
_BATCH_GRACE_S = 5.0


class QueryFailedError(RuntimeError):
    """A query ended by itself; the message says which and why."""


def wait_for_a_batch(query: StreamingQuery, stopping: threading.Event) -> None:
    """Wait until the query has done a batch or found nothing to do. Raises :class:`QueryFailedError`."""
    while query.lastProgress is None and not stopping.wait(0.1):
        _check(query)


def wait_for_the_end(query: StreamingQuery, heartbeat: Path | None, stopping: threading.Event) -> None:
    """Wait until a query has read all that there was, or stop it. Raises :class:`QueryFailedError`."""
    while query.isActive and not stopping.wait(_LOOK_EVERY_S):
        if heartbeat is not None:
            heartbeat.touch()
    if stopping.is_set():
        stop(query)
    elif query.exception() is not None:
        _check(query)


def follow(
    queries: dict[str, StreamingQuery],
    on_progress: dict[str, Callable[[Progress, datetime], None]],
    *,
    heartbeat: Path | None,
    stopping: threading.Event,
) -> None:
    """Look at the queries every second until ``stopping`` is set. Raises :class:`QueryFailedError`.

    ``on_progress`` is told a query's last batch each time, new or not, and the time (UTC).
    """
    seen: dict[str, int] = {}
    while not stopping.wait(_LOOK_EVERY_S):
        for name, query in queries.items():
            _check(query)
            if (reported := query.lastProgress) is not None:
                progress = Progress.of(reported)
                if seen.get(name) != progress.batch:
                    seen[name] = progress.batch
                    _report(name, progress)
                if name in on_progress:
                    on_progress[name](progress, datetime.now(UTC))
        if heartbeat is not None:
            heartbeat.touch()


def stop(*queries: StreamingQuery) -> None:
    """Stop each query between two batches, if that comes within 5 s.

    One that is still in a batch is left to the end of the JVM: the batch is done again after the next start,
    and interrupting it takes as long as it likes.
    """
    deadline = time.monotonic() + _BATCH_GRACE_S
    for query in queries:
        while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
            time.sleep(0.02)
        if query.isActive and query.status["isTriggerActive"]:
            log.warning("monitoring.batch_cut_short", query=query.name)
        else:
            query.stop()


def _check(query: StreamingQuery) -> None:
    if not query.isActive:
        error = query.exception()
        reason = str(error).splitlines()[0] if error is not None else "it was stopped"
        raise QueryFailedError(f"the query {query.name} ended: {reason}")


def _report(name: str, progress: Progress) -> None:
    if progress.losses:
        log.warning("monitoring.passed_over", query=name, batch=progress.batch, **progress.losses)
    log.debug(
        "monitoring.batch",
        query=name,
        batch=progress.batch,
        seconds=progress.seconds,
        state_rows=progress.state_rows,
        steps=progress.steps,
        **progress.read,
    )
