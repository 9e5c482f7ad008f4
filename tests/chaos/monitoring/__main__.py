"""``python -m tests.chaos.monitoring``: kills by the seed on real servers, and whether all errors are right.

Every answer with a price must be in ``outcomes`` and count once, and every window must be, to a billionth,
what ``pipelines metrics verify`` makes of answers and prices. The exit status is 1 when a run failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import structlog
from rich.console import Console

from control_plane import logs
from control_plane.demo.view import View
from control_plane.sandbox.errors import SandboxError
from control_plane.sandbox.java import java_home
from control_plane.sandbox.sandbox import Sandbox
from control_plane.settings import Topics
from control_plane.topics import ensure_topics
from tests.benchmarks.machine import this_machine
from tests.chaos.monitoring.application import Application
from tests.chaos.monitoring.campaign import Run, campaign
from tests.chaos.monitoring.plan import planned
from tests.chaos.monitoring.world import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Sequence


_WIDTH = 140  # of the table in a pipe
_COLUMNS = ("fault", "runs", "kills", "outcomes", "written again", "windows", "failed")


def main() -> int:
    """Run the campaign that the command line asks for and return the exit status."""
    told = _arguments()
    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _end)
    progress, machine = View(Console(stderr=True, highlight=False)), this_machine()
    progress.fact(f"on {machine}")
    home, runs = told.home / "system", list[Run]()
    shutil.rmtree(home, ignore_errors=True)  # of the campaign before
    home.mkdir(parents=True)
    os.environ["JAVA_HOME"] = str(java_home())
    with Sandbox(home / "sandbox") as servers:
        kafka = servers.kafka_bootstrap_servers
        ensure_topics(kafka, Topics(partitions=PARTITIONS))
        plans = [planned(told.seed + number) for number in range(told.runs)]
        try:
            for run in campaign(Application(servers, home), kafka, plans):
                runs.append(run)
                progress.fact(_line(run))
                for problem in run.problems[:20]:
                    progress.problem(problem)
        except KeyboardInterrupt:
            progress.problem(f"ended before seed {plans[len(runs)].seed} was through")
    if told.json:
        taken = {"machine": str(machine), "runs": [asdict(run) for run in runs]}
        told.json.write_text(json.dumps(taken, indent=1) + "\n")
    title = f"Seeds {told.seed} to {told.seed + len(runs) - 1}, on {machine}"
    View(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)).table(
        title, _COLUMNS, _table(runs)
    )
    return 0 if len(runs) == told.runs and not any(run.problems for run in runs) else 1


def _line(run: Run) -> str:
    return (
        f"seed {run.plan.seed}: {run.plan}: {run.outcomes:,} outcomes, {run.repeated:,} written again, "
        f"{run.windows:,} windows so far, {run.seconds:.0f} s"
    )


def _table(runs: Sequence[Run]) -> list[list[str]]:
    faults = sorted({kill.fault for run in runs for kill in run.plan.kills})
    rows = [
        (fault, [run for run in runs if any(one.fault == fault for one in run.plan.kills)])
        for fault in faults
    ]
    return [_row(fault, held) for fault, held in rows] + [_row("all", runs)]


def _row(name: str, runs: Sequence[Run]) -> list[str]:
    kills = sum(name in (kill.fault, "all") for run in runs for kill in run.plan.kills)
    figures = (
        len(runs),
        kills,
        sum(run.outcomes for run in runs),
        sum(run.repeated for run in runs),
        max((run.windows for run in runs), default=0),
        sum(bool(run.problems) for run in runs),
    )
    return [name, *(f"{figure:,}" for figure in figures)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.monitoring", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next one has the next")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument(
        "--home", type=Path, default=Path(".pipelines/chaos-monitoring"), help="state and logs"
    )
    return parser.parse_args()


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt  # by way of everything that is to be stopped, and the table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SandboxError as error:
        sys.exit(str(error))
