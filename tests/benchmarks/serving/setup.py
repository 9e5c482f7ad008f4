"""What a benchmark of serving needs before it measures: servers, a model, and a place for what it finds."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import mlflow
import structlog
from rich.console import Console

from control_plane import logs
from control_plane.demo.view import View
from control_plane.registry import Registry
from control_plane.sandbox.errors import SandboxError
from control_plane.settings import Topics, load
from control_plane.topics import ensure_topics
from spark_apps.model_digest import digest
from spark_apps.serving.settings import Serving
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.serving import opponents
from tests.benchmarks.serving.contestants import Place
from tests.benchmarks.training.job import run_job
from tests.benchmarks.training.setup import Setup, generated_batch, servers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

#: How many listings are asked about, again and again, and what they are generated with.
LISTINGS, SEED = 2_000, 77
_WIDTH = 120  # of tables in a pipe


def begin() -> View:
    """Configure what is logged and how SIGTERM ends, and return where progress is shown."""
    logs.configure()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, _end)
    return View(Console(stderr=True, highlight=False))


def tables() -> View:
    """Return where tables are shown."""
    return View(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH))


def place_with_model(
    stack: ExitStack, folder: Path, told: argparse.Namespace, view: View, *, opponents_too: bool = False
) -> Place:
    """Start the servers until ``stack`` ends, train (``told.rows``, ``told.model``), and make the topics."""
    with view.work("starting Kafka, HDFS and MLflow"):
        addresses = stack.enter_context(servers(folder / "sandbox"))
    setup = Setup(addresses, folder, told.logs, 3, 1, cores=2, memory="2g", limit_s=1_800, view=view)
    version = _train(told, setup)
    plain = opponents.fit(setup, told.rows) if opponents_too else None
    ensure_topics(addresses.kafka_bootstrap_servers, load(Topics))
    cores = len(os.sched_getaffinity(0))
    return Place(addresses, folder, told.logs, version, load(Topics).partitions, cores, plain)


def run(measure: Callable[[], int]) -> NoReturn:
    """End with the status of a benchmark, or with what went wrong in a sentence."""
    try:
        sys.exit(measure())
    except (SandboxError, BenchmarkError) as error:
        sys.exit(str(error))


def _train(told: argparse.Namespace, setup: Setup) -> int:
    """Train on generated listings, as the control plane has it done, and return the version."""
    if told.model:
        return _register(setup.servers.mlflow_tracking_uri, told.model)
    with generated_batch(setup, told.rows) as batch:
        run_job(setup, batch, 1)
    version = Registry(setup.servers.mlflow_tracking_uri).trained_by(f"train-{batch.name}-1")
    if version is None:
        raise BenchmarkError("the training registered nothing")
    return int(version.version)


def _register(mlflow_tracking_uri: str, model: Path) -> int:
    """Register a saved model and return the version."""
    name, client = Serving().model, mlflow.MlflowClient(mlflow_tracking_uri)
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(model), "model/sparkml")
    client.create_registered_model(name)
    tags = {"pipelines.digest": digest(model)}
    source = f"{run.info.artifact_uri}/model"
    return int(client.create_model_version(name, source, run.info.run_id, tags=tags).version)


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # by way of everything that is to be stopped
