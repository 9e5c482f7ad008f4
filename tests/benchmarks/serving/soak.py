"""``python -m tests.benchmarks.serving.soak``: a server and its standby, idle, and under load for long.

Progress goes to standard error, tables to the other. Its exit status is 1 when memory grows all along,
answers come late, or a server that has nothing to do takes more than it may.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.simulator.generator import listings
from tests.benchmarks.machine import this_machine
from tests.benchmarks.serving import report
from tests.benchmarks.serving.contestants import serving, standby
from tests.benchmarks.serving.load import Load
from tests.benchmarks.serving.results import Idle, Minute, soak_bounds
from tests.benchmarks.serving.setup import LISTINGS, SEED, begin, place_with_model, run, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.demo.view import View
    from tests.benchmarks.serving.contestants import Contestant

_WARM = 20_000
_SETTLE_S, _IDLE_S = 130.0, 60.0  # a server looks once a minute whether requests have paused


def main() -> int:
    """Measure a server and a standby: idle, each minute of the load, and idle again."""
    told = _arguments()
    progress, machine = begin(), this_machine()
    progress.fact(f"on {machine}")
    told.logs.mkdir(parents=True, exist_ok=True)
    asked = list(islice(listings(LISTINGS, SEED), LISTINGS))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-serving-")))
        place = place_with_model(stack, folder, told, progress)
        active = stack.enter_context(serving(place))
        both = (active, stack.enter_context(standby(place)))
        idle = [_idle("fresh", both, progress)]
        load = stack.enter_context(
            Load(place.servers.kafka_bootstrap_servers, active.requests, active.answers, asked)
        )
        with progress.work(f"{_WARM:,} requests to get warm"):
            load.drain(_WARM)
        minutes = list[Minute]()
        for number in range(1, told.minutes + 1):
            with progress.work(f"minute {number} of {told.minutes} at {told.rate:,} requests/s"):
                late = load.lateness(told.rate, 60, warm_s=0 if minutes else 3)
            minutes.append(Minute(late, *(one.proportional_bytes for one in both)))
        idle.append(_idle("after the load", both, progress))
    found = soak_bounds(minutes, idle)
    shown = tables()
    shown.fact(f"on {machine}")
    shown.table(f"Each minute at {told.rate:,} requests/s", report.MINUTES, report.minutes(minutes))
    shown.table("With nothing to do", report.IDLE, report.idle(idle))
    shown.table("Bounds", report.BOUNDS, report.judged(found))
    if told.out:
        kept = {"machine": asdict(machine), "minutes": [one.told() for one in minutes]}
        kept |= {"idle": [asdict(one) for one in idle], "bounds": [asdict(one) for one in found]}
        told.out.write_text(json.dumps(kept))
    return 0 if all(one.holds for one in found) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", type=int, default=200, help="requests/s: 200")
    parser.add_argument(
        "--rows", type=int, default=20_000, help="listings that the model is trained on: 20000"
    )
    parser.add_argument("--model", type=Path, help="a saved PipelineModel's folder, in place of a training")
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON")
    parser.add_argument("--logs", type=Path, default=Path(".pipelines/benchmarks"))
    return parser.parse_args()


def _idle(when: str, servers: Sequence[Contestant], view: View) -> Idle:
    """Leave both alone for a while, then see what they take."""
    with view.work(f"nothing to do, {when}"):
        time.sleep(_SETTLE_S)
        before, begun = [one.cpu_seconds for one in servers], time.monotonic()
        time.sleep(_IDLE_S)
        taken = time.monotonic() - begun
        cpu = [(one.cpu_seconds - used) / taken for one, used in zip(servers, before, strict=True)]
    return Idle(when, tuple(cpu), tuple(one.proportional_bytes for one in servers))


if __name__ == "__main__":
    run(main)
