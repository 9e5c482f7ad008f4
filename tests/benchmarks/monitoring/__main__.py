"""``python -m tests.benchmarks.monitoring``: progress on standard error, tables on the other.

Its exit status is 1 when an outcome is lost, doubled or wrong, or when what is held grows all along a soak.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from rich.console import Console

from control_plane import logs
from control_plane.demo.view import View
from control_plane.recomputation_view import verified
from control_plane.sandbox.errors import SandboxError
from control_plane.settings import Topics, load
from control_plane.topics import ensure_topics
from spark_apps.monitoring.settings import DAY_S
from tests.benchmarks.machine import this_machine
from tests.benchmarks.monitoring import results
from tests.benchmarks.monitoring.traffic import Traffic
from tests.benchmarks.monitoring.watching import drained, running
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.training.setup import servers

if TYPE_CHECKING:
    from tests.benchmarks.monitoring.results import Drained

_WIDTH = 120  # of tables in a pipe
_LEAD_S = 3_600.0
_WINDOW_S = 15
_SOAK_FROM = 1_000_000  # answers, from which on a run is long enough to judge what grows
_VERIFY_MOST = 500_000  # answers, beyond which a recomputation takes more memory than the rest together


def main() -> int:
    """Fill the topics, start the application, and look at it until all is done."""
    told = _arguments()
    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _end)
    progress, machine = View(Console(stderr=True, highlight=False)), this_machine()
    progress.fact(f"on {machine}")
    told.logs.mkdir(parents=True, exist_ok=True)
    core = _a_core_apart()
    traffic = Traffic(told.answers, told.rate, told.lag, 20 * told.lag, told.requests)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-monitoring-")))
        with progress.work("starting Kafka, HDFS and MLflow"):
            addresses = stack.enter_context(servers(folder / "sandbox"))
        kafka, partitions = addresses.kafka_bootstrap_servers, load(Topics).partitions
        records = told.answers * (3 if told.requests else 2)
        with progress.work(f"writing {records:,} records", total=records) as show:
            traffic.write(kafka, partitions, show)
        ensure_topics(kafka, load(Topics))
        settings = {
            "MONITORING_CORES": "1",
            "MONITORING_WINDOW": str(_WINDOW_S),
            "MONITORING_PRICE_HORIZON": str(told.horizon),
            "MONITORING_PRICE_LEAD": str(_LEAD_S if told.horizon >= _LEAD_S else told.lag),
        }
        log = told.logs / "monitoring.log"
        with running(addresses, folder, log, core, settings | dict(told.set)) as process:
            with progress.work(f"joining {told.answers:,} answers and prices"):
                found = drained(kafka, process, folder, told.answers, partitions)
            with progress.work("waiting for the last window"):
                wrong = _wrong(kafka, told)
    return _show(told, f"{machine}", found, wrong)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.monitoring", description=__doc__)
    parser.add_argument("--answers", type=_number, default=300_000, help="and as many prices")
    parser.add_argument("--rate", type=float, default=5_000, help="at which they came, a second")
    parser.add_argument("--lag", type=float, help="of prices after their answers, seconds: 10; of a soak 2")
    parser.add_argument(
        "--horizon", type=float, help="how long prices are waited for: a day; of a soak 20 lags"
    )
    parser.add_argument("--no-requests", dest="requests", action="store_false", help="leave requests out")
    parser.add_argument("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON")
    parser.add_argument("--logs", type=Path, default=Path(".pipelines/benchmarks"))
    told = parser.parse_args()
    soaks = told.answers >= _SOAK_FROM
    if told.lag is None:
        told.lag = 2 if soaks else 10
    if told.horizon is None:  # of a soak: so that what is remembered is forgotten within it, several times
        told.horizon = 20 * told.lag if soaks else DAY_S
    return told


def _number(text: str) -> int:
    return int(text.replace("_", ""))


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _a_core_apart() -> int | None:
    """Leave one core to the application, and keep this process and its servers off it."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) == 1:
        return None
    os.sched_setaffinity(0, mine[:-1])
    return mine[-1]


def _wrong(kafka: str, told: argparse.Namespace) -> list[str]:
    """Return what is wrong with outcomes and windows, in words."""
    counted = _counted(kafka, told.answers)
    if counted != told.answers:
        return [f"the windows hold {counted:,} outcomes of {told.answers:,}"]
    if told.answers > _VERIFY_MOST:
        return []
    return verified(kafka, horizon=told.horizon, lead=_LEAD_S, grace=0).differences


def _counted(kafka: str, wanted: int, patience_s: float = 120.0) -> int:
    """Read windows until they hold so many outcomes or nothing new comes; return how many they hold."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench"})
    consumer.assign([TopicPartition("metrics", 0, OFFSET_BEGINNING)])
    by_key = dict[bytes, int]()
    while sum(by_key.values()) < wanted and (message := consumer.poll(patience_s)) is not None:
        window = json.loads(message.value() or b"{}")
        if window.get("kind") == "error" and window["model"] == "stack":
            by_key[message.key() or b""] = window["count"]
    consumer.close()
    return sum(by_key.values())


def _show(told: argparse.Namespace, machine: str, found: Drained, wrong: list[str]) -> int:
    tables = View(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH))
    tables.fact(f"on {machine}, the application on one core of it")
    tables.table("While the application worked", results.SAMPLES, results.samples(found))
    tables.table("Where its processor time went", results.THREADS, results.threads(found))
    tables.table("Where its queries' time went", results.STEPS, results.steps(found))
    keeps_up = "keeps up with" if found.rate >= results.LEAST_RATE else "does NOT keep up with"
    tables.fact(
        f"{found.rate:,.0f} answers and as many prices a second: it {keeps_up} {results.LEAST_RATE:,.0f}"
    )
    growth = found.growth if told.answers >= _SOAK_FROM else {}
    for name, times in growth.items():
        tables.fact(f"{name} at most {times:.2f} times from the middle third to the last")
    wrong += [f"{name} grew" for name, times in growth.items() if times > results.MOST_GROWTH]
    for one in wrong[:20]:
        tables.problem(one)
    if told.out:
        kept = {"machine": machine, "rate": found.rate, "growth": growth, "wrong": wrong}
        told.out.write_text(json.dumps(kept | asdict(found)))
    return 1 if wrong else 0


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # by way of everything that is to be stopped


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SandboxError, BenchmarkError) as error:
        sys.exit(str(error))
