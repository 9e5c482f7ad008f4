"""``python -m tests.benchmarks.training compare|growth``: progress on standard error, tables on the other.

The exit status is 1 when a contestant failed or a bound does not hold.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import structlog
from rich.console import Console

from control_plane import logs
from control_plane.demo.view import View
from control_plane.sandbox.errors import SandboxError
from tests.benchmarks.machine import Machine, this_machine
from tests.benchmarks.training import comparison, growth
from tests.benchmarks.training.setup import Setup, scratch, servers

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH = 120  # of tables in a pipe
# Folds and settings: as a training has them unless told; for growth fewer, or 3,000,000 rows take a night.
_VALIDATION = {"compare": (5, 4), "growth": (2, 1)}
_SIZES = (100_000, 300_000, 1_000_000, 3_000_000)


def main() -> int:
    """Run what the command line asks for and return the exit status."""
    told = _arguments()
    folds, grid = _VALIDATION[told.what]
    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _end)
    progress = View(Console(stderr=True, highlight=False))
    machine = this_machine()
    progress.fact(f"on {machine}")
    told.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        with progress.work("starting HDFS and MLflow"):
            addresses = stack.enter_context(servers(folder / "sandbox"))
        setup = Setup(
            servers=addresses,
            folder=folder,
            logs=told.logs,
            folds=told.folds or folds,
            grid=told.grid or grid,
            cores=told.cores,
            memory=told.memory,
            limit_s=told.limit * 60,
            view=progress,
        )
        problems = _run(told, setup, machine)
    for problem in problems:
        progress.problem(problem)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.training", description=__doc__)
    parser.add_argument("what", choices=("compare", "growth"))
    parser.add_argument("--rows", type=_sizes, help="listings to generate; growth takes a list: 1000,3000")
    parser.add_argument(
        "--sparks-rows", type=int, default=10_000, help="at most, for Spark's own boosting; 0: none"
    )
    parser.add_argument("--folds", type=int, help="5 unless given; of growth 2")
    parser.add_argument("--grid", type=int, help="settings of each member: 4 unless given; of growth 1")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", default="6g", help="heap of a training's JVM")
    parser.add_argument("--limit", type=float, default=240, help="minutes that one contestant may take")
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON")
    parser.add_argument(
        "--logs", type=Path, default=Path(".pipelines/benchmarks"), help="where logs are kept"
    )
    told = parser.parse_args()
    if told.what == "compare" and len(told.rows or (1,)) > 1:
        parser.error("--rows takes one number here; growth takes a list")
    return told


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size.replace("_", "")) for size in text.split(","))


def _run(told: argparse.Namespace, setup: Setup, machine: Machine) -> list[str]:
    tables = View(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH))
    if told.what == "compare":
        [rows] = told.rows or (300_000,)
        found = comparison.compare(setup, rows, told.sparks_rows)
        for one in found:
            comparison.show(one, tables)
        if len(found) > 1:
            tables.fact(
                f"Spark's own boosting takes some ten times as long: it got {told.sparks_rows:,} listings"
            )
        figures: Sequence[object] = [asdict(one) for one in found]
        problems = [problem for one in found for problem in one.problems]
    else:
        grown = growth.grow(setup, told.rows or _SIZES)
        growth.show(grown, setup, tables)
        figures, problems = [asdict(grown)], grown.problems
    tables.fact(
        f"on {machine}; {setup.cores} cores and a heap of {setup.memory} for each; logs in {setup.logs}"
    )
    if told.out:
        taken = {"machine": asdict(machine), "figures": figures, "problems": problems}
        told.out.write_text(json.dumps(taken, indent=1) + "\n")
    return problems


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # by way of everything that is to be stopped


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SandboxError as error:
        sys.exit(str(error))
