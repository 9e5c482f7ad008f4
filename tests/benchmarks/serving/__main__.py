"""``python -m tests.benchmarks.serving``: progress on standard error, tables on the other."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import mlflow
import structlog
from rich.console import Console

from control_plane import logs
from control_plane.demo.view import View
from control_plane.registry import Registry
from control_plane.sandbox.errors import SandboxError
from control_plane.settings import Topics, load
from control_plane.simulator.generator import listings
from control_plane.topics import ensure_topics
from spark_apps.model_digest import digest
from spark_apps.serving.settings import Serving
from tests.benchmarks.machine import this_machine
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.serving import contestants
from tests.benchmarks.serving.load import Drain, Latency, Load
from tests.benchmarks.training.job import run_job
from tests.benchmarks.training.setup import Setup, generated_batch, servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.settings import Servers
    from tests.benchmarks.serving.contestants import Contestant

_LISTINGS, _SEED = 2_000, 77
_WIDTH = 120  # of tables in a pipe
_COLUMNS = ("contestant", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "worst ms", "answers")
_DRAINED = ("contestant", "backlog", "seconds", "requests/s", "CPU us a request", "memory MB")


@dataclass(frozen=True)
class Measured:
    """What one contestant did; ``cpu_us`` is its processor time for a request of the last backlog."""

    name: str
    latencies: tuple[Latency, ...]
    drains: tuple[Drain, ...]
    cpu_us: float
    resident_bytes: int


def main() -> int:
    """Measure all contestants, one after another, on the same broker, requests and model."""
    told = _arguments()
    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _end)
    progress, machine = View(Console(stderr=True, highlight=False)), this_machine()
    progress.fact(f"on {machine}")
    told.logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-serving-")))
        with progress.work("starting Kafka, HDFS and MLflow"):
            addresses = stack.enter_context(servers(folder / "sandbox"))
        version = _train(told, addresses, folder, progress)
        ensure_topics(addresses.kafka_bootstrap_servers, load(Topics))
        measured = _measure(told, addresses, folder, version, progress)
    _show(measured)
    if told.out:
        told.out.write_text(
            json.dumps({"machine": asdict(machine), "figures": [asdict(m) for m in measured]})
        )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving", description=__doc__)
    parser.add_argument("--rates", type=_numbers, default=(50, 200, 1_000), help="requests/s: 50,200,1000")
    parser.add_argument("--seconds", type=float, default=30, help="at each rate")
    parser.add_argument("--backlogs", type=_numbers, default=(50_000, 200_000), help="requests, in turn")
    parser.add_argument("--rows", type=int, default=20_000, help="listings that the model is trained on")
    parser.add_argument("--model", type=Path, help="a saved PipelineModel's folder, in place of a training")
    parser.add_argument("--out", type=Path, help="a file for all figures, as JSON")
    parser.add_argument("--logs", type=Path, default=Path(".pipelines/benchmarks"))
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one.replace("_", "")) for one in text.split(","))


def _train(told: argparse.Namespace, addresses: Servers, folder: Path, view: View) -> int:
    """Train on generated listings, as the control plane has it done, and return the version."""
    if told.model:
        return _register(addresses, told.model)
    setup = Setup(addresses, folder, told.logs, 3, 1, cores=2, memory="2g", limit_s=1_800, view=view)
    with generated_batch(setup, told.rows) as batch:
        run_job(setup, batch, 1)
    version = Registry(addresses.mlflow_tracking_uri).trained_by(f"train-{batch.name}-1")
    if version is None:
        raise BenchmarkError("the training registered nothing")
    return int(version.version)


def _register(addresses: Servers, model: Path) -> int:
    """Register a saved model and return the version."""
    name, client = Serving().model, mlflow.MlflowClient(addresses.mlflow_tracking_uri)
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(model), "model/sparkml")
    client.create_registered_model(name)
    tags = {"pipelines.digest": digest(model)}
    source = f"{run.info.artifact_uri}/model"
    return int(client.create_model_version(name, source, run.info.run_id, tags=tags).version)


def _measure(
    told: argparse.Namespace, addresses: Servers, folder: Path, version: int, view: View
) -> list[Measured]:
    asked = list(islice(listings(_LISTINGS, _SEED), _LISTINGS))
    found = []
    for contestant in (
        contestants.relay(addresses, told.logs, load(Topics).partitions),
        contestants.serving(addresses, folder, told.logs, version),
    ):
        with contestant as one:
            found.append(_one(told, one, addresses.kafka_bootstrap_servers, asked, view))
    return found


def _one(
    told: argparse.Namespace,
    contestant: Contestant,
    kafka: str,
    asked: Sequence[dict[str, str]],
    view: View,
) -> Measured:
    latencies, drains = list[Latency](), list[Drain]()
    with Load(kafka, contestant.requests, contestant.answers, asked) as load_:
        for rate in told.rates:
            with view.work(f"{contestant.name}: {rate:,} requests/s"):
                latencies.append(load_.steady(rate, told.seconds))
        for backlog in told.backlogs:
            before = contestant.cpu_seconds
            with view.work(f"{contestant.name}: a backlog of {backlog:,}"):
                drains.append(load_.drain(backlog))
            cpu_us = (contestant.cpu_seconds - before) / backlog * 1e6
    return Measured(contestant.name, tuple(latencies), tuple(drains), cpu_us, contestant.resident_bytes)


def _show(measured: Sequence[Measured]) -> None:
    tables = View(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH))
    rows = [
        [one.name, f"{at.rate:,}", *(f"{ms:,.1f}" for ms in (*at.percentiles, at.worst)), f"{at.answers:,}"]
        for one in measured
        for at in one.latencies
    ]
    tables.table("From a request's record to its answer's, by the broker's clock", _COLUMNS, rows)
    drained = [
        [
            one.name,
            f"{drain.requests:,}",
            f"{drain.seconds:,.1f}",
            f"{drain.rate:,.0f}",
            f"{one.cpu_us:,.0f}" if drain is one.drains[-1] else "",
            f"{one.resident_bytes / 1e6:,.0f}",
        ]
        for one in measured
        for drain in one.drains
    ]
    tables.table("A backlog, sent as fast as the broker takes it", _DRAINED, drained)


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # by way of everything that is to be stopped


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SandboxError, BenchmarkError) as error:
        sys.exit(str(error))
