"""``python -m tests.chaos``: faults by the seed on real servers, and whether each request got its one answer.

Progress goes to standard error, the table to the other. The exit status is 1 when a run failed: its seed is
printed, and its logs and records are kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import structlog
from rich.console import Console

from control_plane import logs
from control_plane.demo.view import View
from control_plane.sandbox.errors import SandboxError
from control_plane.sandbox.java import java_home
from spark_apps.session import end_session, spark_session
from tests.benchmarks.machine import this_machine
from tests.chaos import report
from tests.chaos.campaign import Run, campaign
from tests.chaos.faults import FAULTS
from tests.chaos.model import fitted
from tests.chaos.plan import planned
from tests.chaos.system import ChaosError, running

_WIDTH = 140  # of the table in a pipe


def main() -> int:
    """Run the campaign that the command line asks for and return the exit status."""
    told = _arguments()
    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _end)
    lasting = {name: fault.lasts for name, fault in FAULTS.items() if name in (told.fault or FAULTS)}
    plans = [planned(told.seed + number, lasting) for number in range(told.runs)]
    progress = View(Console(stderr=True, highlight=False))
    machine = this_machine()
    progress.fact(f"on {machine}")
    home = told.home / "system"
    shutil.rmtree(home, ignore_errors=True)  # of the campaign before
    runs: list[Run] = []
    os.environ["JAVA_HOME"] = str(java_home())
    with progress.work("learning a small model"):
        spark = spark_session("chaos", cores=2, memory="512m")
        model = fitted(spark)
    with ExitStack() as stack:
        with progress.work("starting Kafka and MLflow"):
            system = stack.enter_context(running(home, model))
        end_session(spark)
        try:
            for run in campaign(system, plans):
                runs.append(run)
                _tell(run, progress, told.home)
        except ChaosError as error:
            progress.problem(f"seed {plans[len(runs)].seed}: {error}; logs: {home / 'logs'}")
        except KeyboardInterrupt:
            progress.problem(f"ended before seed {plans[len(runs)].seed} was through")
    if told.json:
        taken = {"machine": str(machine), "runs": report.figures(runs)}
        told.json.write_text(json.dumps(taken, indent=1) + "\n")
    View(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)).table(
        f"Seeds {told.seed} to {told.seed + len(runs) - 1}, on {machine}", report.COLUMNS, report.table(runs)
    )
    return 0 if len(runs) == len(plans) and not any(run.verdict.problems for run in runs) else 1


def _tell(run: Run, progress: View, home: Path) -> None:
    progress.fact(report.line(run))
    if not run.verdict.problems:
        return
    folder = home / f"seed-{run.plan.seed}"
    report.keep(run, folder, (home / "system" / "logs").glob("*.log"))
    for problem in run.verdict.problems:
        progress.problem(problem)
    progress.problem(f"seed {run.plan.seed} failed; what is left of it: {folder}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next one has the next")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only this; may be repeated")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--home", type=Path, default=Path(".pipelines/chaos"), help="of state and logs")
    return parser.parse_args()


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt  # by way of everything that is to be stopped, and the table


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SandboxError as error:
        sys.exit(str(error))
