"""The outside world of a running system: a source of batches, clients that ask, managers that tell."""

from __future__ import annotations

import csv
import json
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import structlog
from hdfs import HdfsError

from control_plane.progress import working
from control_plane.reachable import plainly
from control_plane.simulator.batches import deliver
from control_plane.simulator.drift import drifting
from control_plane.simulator.generator import generate
from control_plane.simulator.traffic import Ledger, Traffic, percentiles
from control_plane.storage import StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from control_plane.settings import Servers

log = structlog.get_logger()

_REPORT_EVERY_S = 5.0
_SLOW_MS = 250


class TrafficError(RuntimeError):
    """Requests were lost or answered twice; the message says how many."""


def send_batch(servers: Servers, batch: str, rows: int, seed: int) -> None:
    """Generate ``rows`` listings and deliver them to HDFS as ``batch``.

    Raises :class:`control_plane.storage.StorageUnavailableError` when HDFS is away or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="batch-") as folder, working(f"delivering {rows:,} listings"):
        generate(rows, seed, Path(folder), None)
        try:
            deliver(servers.hdfs_url, Path(folder), batch)
        except (HdfsError, requests.RequestException) as error:
            raise StorageUnavailableError(
                f"HDFS at {servers.hdfs_url} did not answer: {plainly(error)}"
            ) from error


def send_traffic(
    servers: Servers,
    *,
    rate: float,
    seconds: float | None,
    price_delay_s: float,
    rows: int,
    seed: int,
    drift: float = 0,
) -> None:
    """Send requests and prices until SIGTERM, SIGINT or ``seconds`` are over, and print what came of them.

    ``drift`` is how far the listings are from those of a batch, from 0 to 1.
    What is printed is one JSON object, see :func:`report`. Raises :class:`TrafficError` unless each request
    was answered, and once by the reader's rule.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with tempfile.TemporaryDirectory(prefix="traffic-") as folder:
        generate(rows, seed, Path(folder), None)
        with Traffic(
            servers.kafka_bootstrap_servers,
            drifting(_listings(Path(folder)), drift, seed),
            rate=rate,
            price_delay_s=price_delay_s,
            prefix=f"r-{int(time.time())}",
        ) as traffic:
            with _reporting(traffic.ledger):
                stopped.wait(seconds)
            traffic.finish()
    found = report(traffic.ledger, traffic.prices_sent)
    sys.stdout.write(json.dumps(found) + "\n")
    if found["lost"] or found["undelivered"]:
        raise TrafficError(f"{found['lost']} requests were lost, {found['undelivered']} did not reach Kafka")


def report(ledger: Ledger, prices: int) -> dict[str, Any]:
    """Return what became of the requests; latencies in ms, by the broker's clock.

    ``slow``: by the second in which it was asked for (since the epoch), the latest answer that came late.
    """
    answers = list(ledger.answers.values())
    slow: dict[int, int] = {}
    for answer in answers:
        if answer.late_ms >= _SLOW_MS:
            second = answer.requested_ms // 1000
            slow[second] = max(answer.late_ms, slow.get(second, 0))
    return {
        "sent": len(ledger.sent),
        "answered": len(answers),
        "rejected": sum(answer.status != "predicted" for answer in answers),
        "repeated": ledger.repeated,
        "lost": len(ledger.unanswered),
        "undelivered": ledger.undelivered,
        "prices": prices,
        "versions": {
            str(version): sum(answer.model_version == version for answer in answers)
            for version in sorted({answer.model_version for answer in answers if answer.model_version})
        },
        "epochs": sorted({answer.epoch for answer in answers}),
        "latency_ms": dict(
            zip(("p50", "p99", "p99.9", "max"), percentiles(answers, 50, 99, 99.9, 100), strict=True)
        ),
        "slow": {str(second): slow[second] for second in sorted(slow)},
    }


def _listings(folder: Path) -> Iterator[dict[str, str]]:
    for part in sorted(folder.glob("part-*.csv")):
        with part.open(newline="", encoding="utf-8") as file:
            yield from (row for row in csv.DictReader(file) if row["price"])


@contextmanager
def _reporting(ledger: Ledger) -> Iterator[None]:
    """Log every five seconds how the requests are doing."""
    stopped = threading.Event()

    def tell() -> None:
        while not stopped.wait(_REPORT_EVERY_S):
            since = (time.time() - 2 * _REPORT_EVERY_S) * 1000
            recent = ledger.between(since, time.time() * 1000)
            worst = max((answer.late_ms for answer in recent), default=None)
            waiting = len(ledger.sent) - len(ledger.answers)
            log.info("traffic", sent=len(ledger.sent), waiting=waiting, recent_worst_ms=worst)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
