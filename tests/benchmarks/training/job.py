"""This project's training job as the control plane runs it: a process, on real HDFS and MLflow."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from control_plane.registry import Registry
from tests.benchmarks.processes import BenchmarkError, Usage, measured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control_plane.demo.view import View
    from tests.benchmarks.training.setup import Batch, Setup

_STEP = "training.step."
BOOSTING = "gradient_boosting"


@dataclass(frozen=True)
class Training:
    """What a training took and how well it prices; ``steps`` are seconds, ``rounds`` those of boosting.

    ``rows`` are those trained on; ``rmse`` is the stack's and ``boosting_rmse`` boosting's alone, of the rows
    when they were held out, ``test_rmse`` the model's of the cars of the test: dollars.
    """

    usage: Usage
    command: str
    rows: int
    steps: Mapping[str, float]
    fit_seconds: Mapping[str, float]
    rounds: int
    rmse: float
    boosting_rmse: float
    test_rmse: float


@dataclass
class _Story:
    """What the job says while it runs."""

    view: View
    steps: dict[str, float] = field(default_factory=dict)
    rounds: int = 0

    def tell(self, line: str) -> None:
        """Take in a line of the job's log; what is no event of its own is passed over."""
        try:
            said = json.loads(line)
            event = said["event"]
        except (ValueError, TypeError, KeyError):
            return
        if event.startswith(_STEP):
            name = event.removeprefix(_STEP)
            self.steps[name] = said["seconds"]
            self.view.fact(f"  {name}: {said['seconds']:,.1f} s")
        elif event == "training.member.fitted":
            self.rounds += int(said.get("rounds", 0))
            if said["member"] == BOOSTING:
                self.view.fact(f"    fold {said['fold']}: {BOOSTING} in {said['seconds']:,.1f} s")


def run_job(setup: Setup, batch: Batch, attempt: int, **told: str) -> Training:
    """Train on ``batch``; ``told`` are settings beside those of the benchmark.

    Raises: :class:`BenchmarkError` when the job fails, or takes too long.
    """
    told_to = ["-m", "spark_apps.training", "--batch", batch.name, "--attempt", str(attempt)]
    story = _Story(setup.view)
    usage = measured(
        f"the training on {batch.rows:,} listings",
        [sys.executable, *told_to],
        env=setup.environment(**told),
        log_file=setup.logs / f"{batch.name}-{attempt}.log",
        limit_s=setup.limit_s,
        on_line=story.tell,
    )
    registry = Registry(setup.servers.mlflow_tracking_uri)
    version = registry.trained_by(f"train-{batch.name}-{attempt}")
    if version is None:
        raise BenchmarkError(f"the training on {batch.rows:,} listings ended well and registered nothing")
    metrics = registry.metrics(version.run_id)
    prefix = "seconds.train."
    return Training(
        usage=usage,
        command=" ".join((*(f"{name}={value}" for name, value in told.items()), "python", *told_to)),
        rows=int(metrics["rows.train"]),
        steps=story.steps,
        fit_seconds={
            name.removeprefix(prefix): seconds for name, seconds in metrics.items() if name.startswith(prefix)
        },
        rounds=story.rounds,
        rmse=metrics["cv.stack.rmse"],
        boosting_rmse=metrics[f"cv.{BOOSTING}.rmse"],
        test_rmse=metrics["test.stack.rmse"],
    )
