"""``python -m tests.benchmarks.serving``: progress on standard error, tables on the other.

Its exit status is 1 when something that has to hold of this project does not.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.simulator.generator import listings
from tests.benchmarks.machine import this_machine
from tests.benchmarks.serving import report
from tests.benchmarks.serving.contestants import ALL, Place
from tests.benchmarks.serving.load import Load
from tests.benchmarks.serving.results import Drain, Latency, Measured, bounds
from tests.benchmarks.serving.setup import LISTINGS, SEED, begin, place_with_model, run, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.demo.view import View
    from tests.benchmarks.machine import Machine
    from tests.benchmarks.serving.contestants import Contestant

# What is asked for, and what is enough to see that all works.
_FULL = {"rates": (50, 200, 1_000), "seconds": 30.0, "warm": 20_000, "backlogs": (50_000, 200_000)}
_QUICK = {"rates": (50, 200), "seconds": 3.0, "warm": 500, "backlogs": (2_000,)}
_ROWS, _QUICK_ROWS = 20_000, 1_500


def main() -> int:
    """Measure all contestants, one after another, on the same broker, requests and model."""
    told = _arguments()
    progress, machine = begin(), this_machine()
    progress.fact(f"on {machine}")
    told.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-serving-")))
        place = place_with_model(stack, folder, told, progress, opponents_too=True)
        measured = _measure(told, place, progress)
    return _show(told, machine, measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="for a try: short runs, of which nothing is judged"
    )
    parser.add_argument("--rates", type=_numbers, help="requests/s: 50,200,1000")
    parser.add_argument("--seconds", type=float, help="at each rate: 30")
    parser.add_argument("--warm", type=int, help="requests that each contestant answers before: 20000")
    parser.add_argument("--backlogs", type=_numbers, help="requests, in turn: 50000,200000")
    parser.add_argument("--rows", type=int, help="listings that the models are trained on: 20000")
    parser.add_argument("--model", type=Path, help="a saved PipelineModel's folder, in place of a training")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(ALL), help=",".join(ALL))
    parser.add_argument("--seed", type=int, help="of the order in which they come; by chance unless given")
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON")
    parser.add_argument("--logs", type=Path, default=Path(".pipelines/benchmarks"))
    told = parser.parse_args()
    for name, known in (_QUICK if told.quick else _FULL).items():
        if getattr(told, name) is None:
            setattr(told, name, known)
    told.rows = told.rows or (_QUICK_ROWS if told.quick else _ROWS)
    if unknown := set(told.only) - ALL.keys():
        parser.error(f"--only knows {','.join(ALL)}, not {','.join(sorted(unknown))}")
    return told


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one.replace("_", "")) for one in text.split(","))


def _measure(told: argparse.Namespace, place: Place, view: View) -> list[Measured]:
    asked = list(islice(listings(LISTINGS, SEED), LISTINGS))
    seed = random.randrange(1_000) if told.seed is None else told.seed
    order = sorted(told.only)
    random.Random(seed).shuffle(order)  # so that none always comes when the machine is fresh, or worn
    view.fact(f"in the order {', '.join(order)} (--seed {seed})")
    found = {}
    for name in order:
        with ALL[name](place) as contestant:
            found[name] = _one(told, contestant, place.servers.kafka_bootstrap_servers, asked, view)
    return [found[name] for name in ALL if name in found]


def _one(
    told: argparse.Namespace,
    contestant: Contestant,
    kafka: str,
    asked: Sequence[dict[str, str]],
    view: View,
) -> Measured:
    latencies, drains, cpu_us = list[Latency](), list[Drain](), 0.0
    with Load(kafka, contestant.requests, contestant.answers, asked) as load_:
        if told.warm:
            with view.work(f"{contestant.name}: {told.warm:,} requests to get warm"):
                load_.drain(told.warm)
        for rate in told.rates:
            with view.work(f"{contestant.name}: {rate:,} requests/s"):
                latencies.append(load_.steady(rate, told.seconds))
        for backlog in told.backlogs:
            before = contestant.cpu_seconds
            with view.work(f"{contestant.name}: a backlog of {backlog:,}"):
                drains.append(load_.drain(backlog))
            cpu_us = (contestant.cpu_seconds - before) / backlog * 1e6
    return Measured(contestant.name, tuple(latencies), tuple(drains), cpu_us, contestant.resident_bytes)


def _show(told: argparse.Namespace, machine: Machine, measured: Sequence[Measured]) -> int:
    """Print the tables, keep the figures, and return the exit status."""
    shown = tables()
    shown.fact(f"on {machine}")
    title = "From a request's record to its answer's, by the broker's clock"
    shown.table(title, report.LATENCIES, report.latencies(measured))
    shown.table("A backlog, sent as fast as the broker takes it", report.DRAINS, report.drains(measured))
    found = [] if told.quick else bounds(measured)
    if found:
        shown.table("Bounds", report.BOUNDS, report.judged(found))
    if told.out:
        kept = {"machine": asdict(machine), "figures": [asdict(one) for one in measured]}
        told.out.write_text(json.dumps(kept | {"bounds": [asdict(one) for one in found]}))
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    run(main)
