"""Who is compared: each is a function that runs a process to its end and says what came of it."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from spark_apps.jars import COORDINATES
from tests.benchmarks.processes import measured
from tests.benchmarks.training.boosting_alone import BoostingAlone
from tests.benchmarks.training.job import Training, run_job
from tests.benchmarks.training.results import LIGHTGBM, SPARKS_JOB, WHOLE_JOB, XGBOOST, Result

if TYPE_CHECKING:
    from tests.benchmarks.training.setup import Batch, Setup

ROOT = Path(__file__).parents[3]
#: Made by ``make bench-training`` from requirements-bench.lock.
BENCH_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
# Threads that wait for each other are not to spin: beside other programs one spins away the time that the
# other needs, and XGBoost took 27 s of processor time for work of 3 s. The environment may say otherwise.
_WAIT_POLICY = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}


def whole_job(setup: Setup, batch: Batch) -> Result:
    """Run this project's job: read, clean, three members, stack, intervals, register."""
    xgboost = next(one.rpartition(":")[2] for one in COORDINATES if "xgboost" in one)
    with_xgboost = run_job(setup, batch, 1, TRAINING_BOOSTING="xgboost")
    return _of(with_xgboost, WHOLE_JOB, f"{_spark()}, xgboost4j-spark {xgboost}")


def whole_job_on_sparks_boosting(setup: Setup, batch: Batch) -> Result:
    """Run the same job with Spark's own boosting, on its own grid of trees."""
    return _of(run_job(setup, batch, 2, TRAINING_BOOSTING="spark"), SPARKS_JOB, _spark())


def xgboost_alone(setup: Setup, features: Path) -> Result:
    """Run one process of XGBoost on the folds in ``features``."""
    return _alone(setup, features, XGBOOST, "xgboost_alone")


def lightgbm_alone(setup: Setup, features: Path) -> Result:
    """Run one process of LightGBM on the folds in ``features``."""
    return _alone(setup, features, LIGHTGBM, "lightgbm_alone")


def take_features(setup: Setup, batch: Batch) -> Path:
    """Take the folds of ``batch`` out of Spark, as files for those who know no Spark; return their folder."""
    folder = setup.folder / f"features-{batch.rows}"
    module = ["-m", "tests.benchmarks.training.features"]
    with setup.view.work("taking the features out of Spark (not timed)"):
        measured(
            "taking the features out of Spark",
            [sys.executable, *module, "--batch", batch.name, "--to", folder],
            env=setup.environment(),
            log_file=setup.logs / f"{batch.name}-features.log",
            limit_s=setup.limit_s,
        )
    return folder


def _of(training: Training, contestant: str, versions: str) -> Result:
    return Result(
        contestant,
        training.command,
        versions,
        training.rows,
        training.usage,
        training.rmse,
        training.boosting_rmse,
        training.test_rmse,
        training.rounds,
        training.steps,
        training.fit_seconds,
    )


def _alone(setup: Setup, features: Path, contestant: str, module: str) -> Result:
    out = setup.folder / f"{features.name}-{module}.json"
    told = ["-m", f"tests.benchmarks.training.{module}", "--threads", str(setup.cores)]
    usage = measured(
        contestant,
        [BENCH_PYTHON, *told, "--folder", features, "--out", out],
        env=setup.environment(PYTHONPATH=str(ROOT), **_WAIT_POLICY),
        log_file=setup.logs / f"{features.name}-{module}.log",
        limit_s=setup.limit_s,
        on_line=lambda line: setup.view.fact(f"    {line}"),
    )
    found = BoostingAlone(**json.loads(out.read_text()))
    command = " ".join((*(f"{name}={value}" for name, value in _WAIT_POLICY.items()), "python", *told))
    return Result(
        contestant,
        command,
        found.version,
        found.rows,
        usage,
        found.rmse,
        found.rmse,
        None,
        found.rounds,
        {},
        {},
    )


def _spark() -> str:
    return f"pyspark {version('pyspark')}"
