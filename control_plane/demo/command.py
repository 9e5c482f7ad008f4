"""``pipelines demo``: prepares the data, brings the system up, has the story told, shows the tables."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from filelock import FileLock, Timeout

from control_plane.demo import report
from control_plane.demo.memory import PeakMemory
from control_plane.demo.models import model_rows
from control_plane.demo.story import DemoError, Options, Outcome, Story
from control_plane.sandbox.layout import Layout
from control_plane.simulator.generator import generate
from control_plane.simulator.split import split
from control_plane.up import embedded_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from control_plane.demo.view import View
    from control_plane.up import System

#: A story of minutes: short windows, so that there are several, and only as much validation, trees and state
#: as its few rows can fill.
_SETTINGS = {
    "MONITORING_WINDOW": "15",
    "MONITORING_DELAY": "3",
    "MONITORING_TRIGGER": "10",
    "MONITORING_STATE_PARTITIONS": "1",
    "MONITORING_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=96m",
    "TRAINING_BOOSTING_ROUNDS": "100",
    "TRAINING_FOLDS": "2",
    "TRAINING_GRID": "1",
    "TRAINING_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
}
_STATE = ("conf", "data", "demo", "faust", "jobs", "logs", "monitoring", "serving", "shadow", "tmp")
MEMBERS = ("gradient_boosting", "linear_svm", "linear_regression")


@dataclass(frozen=True)
class Demo:
    """What the demo is told with: generated listings, or a file of the dataset's form."""

    home: Path
    rows: int
    seed: int
    dataset: Path | None
    keep: bool
    options: Options


def run(demo: Demo, view: View) -> int:
    """Tell the whole story; return the exit status: 0 when all was kept that is promised."""
    _quieten()
    begun = time.monotonic()
    os.environ.update({name: os.environ.get(name, value) for name, value in _SETTINGS.items()})
    try:
        empty(demo.home)
        data = _prepare(demo, view)
        view.chapter("Kafka, HDFS and MLflow start")
        with _system(demo, view) as system:
            story = Story(system, view, demo.options)
            with PeakMemory() as memory:
                problems = _tell(story, data, system, view)
            view.fact(f"{time.monotonic() - begun:.0f} s in all, at most {memory.gib:.1f} GiB of memory")
            if demo.keep:
                _stay(system, view)
    except DemoError as error:
        view.problem(str(error))
        return 1
    return 1 if problems else 0


def empty(home: Path) -> None:
    """Remove what an earlier story left in ``home``, and only that; :class:`DemoError` if it still runs."""
    try:
        with FileLock(Layout(home).lock, timeout=0):
            for name in _STATE:
                shutil.rmtree(home / name, ignore_errors=True)
    except Timeout:
        raise DemoError(f"{home} is in use by a system that runs: stop it first") from None


def _quieten() -> None:
    # The story is what is to be read; what goes wrong still shows.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def _prepare(demo: Demo, view: View) -> Path:
    """Return a folder with ``batch-001``, ``batch-002`` and ``test``."""
    view.chapter("Listings: two batches to learn from, and a part to ask prices for")
    folder = demo.home / "demo"
    source = demo.dataset or _generated(demo, folder / "generated", view)
    with view.work(f"splitting {source.name}") as show:
        read = 0

        def on_rows(rows: int) -> None:
            nonlocal read
            read += rows
            show(read, f"{read:,} rows")

        parts = split(source, folder, batches=2, test_share=0.2, seed=demo.seed, on_rows=on_rows)
    sizes = ", ".join(f"{name} {rows:,}" for name, rows in {**parts.batches, "test": parts.test}.items())
    view.fact(f"rows: {sizes}")
    return folder


def _generated(demo: Demo, folder: Path, view: View) -> Path:
    with view.work(f"generating {demo.rows:,} listings in the dataset's form"):
        made = generate(demo.rows, demo.seed, folder, parts=1)
    best = made.best
    view.fact(f"their noise is known: the best possible RMSE is ${best.rmse:,.0f} and MAE ${best.mae:,.0f}")
    return made.parts[0]


def _tell(story: Story, data: Path, system: System, view: View) -> list[str]:
    outcome = story.tell(data)
    view.chapter("What came out")
    _tables(outcome, story, system, view)
    problems = report.problems(
        outcome.ledger, outcome.versions, outcome.prices_sent, report.counted(outcome.metrics)
    )
    for problem in problems:
        view.problem(problem)
    if not problems:
        view.fact("✔ every request has exactly one answer, both versions answered, every price is counted")
    return problems


def _tables(outcome: Outcome, story: Story, system: System, view: View) -> None:
    view.table(
        "Models on their test part, and the seconds they took",
        ["model", "RMSE", "MAE", "R²", "train s", "validate s"],
        model_rows(system.servers.mlflow_tracking_uri, outcome.versions, MEMBERS),
    )
    view.table(
        "Live errors from managers' prices, by window (UTC); to the right each member's RMSE",
        ["window", "version", "prices", "RMSE", "MAE", "MAPE", "in range", *MEMBERS],
        report.windows(outcome.metrics, MEMBERS),
    )
    view.table(
        "Latency, ms: the answer's record time minus the request's, by the broker's clock",
        ["while", "requests", "p50", "p99", "p99.9", "worst"],
        report.latency(outcome.ledger, story.phases),
    )
    view.table(
        "Requests",
        ["sent", "answered", "rejected", "answered twice", "lost"],
        report.requests(outcome.ledger),
    )


@contextmanager
def _system(demo: Demo, view: View) -> Iterator[System]:
    with ExitStack() as stack:
        with view.work("starting"):
            system = stack.enter_context(embedded_system(demo.home))
        view.fact("  ".join(f"{name}={value}" for name, value in system.servers.environment().items()))
        yield system
        stack.enter_context(view.work("stopping"))


def _stay(system: System, view: View) -> None:
    view.chapter("Everything keeps running until Ctrl-C")
    view.fact(f"the page: {system.page}")
    view.fact(f"MLflow: {system.servers.mlflow_tracking_uri}")
    view.fact(
        "in another terminal: .venv/bin/pipelines status, .venv/bin/pipelines audit, with these variables:"
    )
    for name, value in system.servers.environment().items():
        view.fact(f"export {name}={value}")
    with suppress(KeyboardInterrupt):
        signal.pause()
