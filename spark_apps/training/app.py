"""The training job: a batch in HDFS becomes a registered model. It reads top to bottom."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import mlflow
import structlog
from pyspark.sql import functions as F

from spark_apps.training import evaluation, tracking, train_sets
from spark_apps.training.crossvalidation import cross_validate, fit_on_all, out_of_fold
from spark_apps.training.folds import prepare
from spark_apps.training.intervals import fit_intervals
from spark_apps.training.members import members
from spark_apps.training.model import pricing_model
from spark_apps.training.preparation import raw_stages
from spark_apps.training.rows import TRAIN, account, judged_batch, quarantine, row_counts, training_rows
from spark_apps.training.stacking import honest_stack, member_prices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import SparkSession

    from control_plane.settings import Servers
    from spark_apps.training.settings import TrainingSettings

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """What is to be done: one attempt at one batch."""

    batch: str
    attempt: int

    @property
    def name(self) -> str:
        """The job's name, by which the control plane finds what it registered."""
        return f"train-{self.batch}-{self.attempt}"


@dataclass
class Clock:
    """Seconds of each step, logged as they pass."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the step ``name``."""
        started = time.monotonic()
        yield
        self.seconds[f"seconds.{name}"] = time.monotonic() - started
        log.info(f"training.step.{name}", seconds=round(time.monotonic() - started, 2))


def train(
    spark: SparkSession, servers: Servers, settings: TrainingSettings, job: Job, scratch: str
) -> ModelVersion:
    """Train on the job's batch and register the model; ``scratch`` is a folder for Spark to write to.

    Raises: BatchError for a batch that cannot be trained on, an …UnavailableError for a server away.
    """
    with tracking.answering(servers.mlflow_tracking_uri):
        mlflow.set_tracking_uri(servers.mlflow_tracking_uri)
        if done := tracking.newest_version(settings.model_name, job.name):
            log.info("training.registered_before", version=int(done.version))
            return done
        mlflow.set_experiment(settings.experiment)
        with mlflow.start_run(run_name=job.name, tags={tracking.JOB: job.name}) as run:
            return _train(spark, servers, settings, job, scratch, run)


def _train(
    spark: SparkSession, servers: Servers, settings: TrainingSettings, job: Job, scratch: str, run: Run
) -> ModelVersion:
    clock = Clock()
    mlflow.log_params({"batch": job.batch, "attempt": job.attempt, **settings.model_dump()})

    with clock.step("read"):
        records = judged_batch(spark, servers, settings, job.batch)
        counts = account(records)
        if counts["rows.quarantined"]:
            quarantine(records, servers, job.batch)

    with clock.step("join"):
        before = tracking.newest_version(settings.model_name) if settings.cumulative else None
        earlier = train_sets.earlier(spark, servers, before.run_id if before else None, job.batch)
        rows = training_rows(records, earlier, settings, job.batch)
        counts |= row_counts(rows, counts["rows.usable"], earlier, settings)
        batches = train_sets.batches(rows)
        tracking.log_data(counts, batches)
        log.info("training.rows", **counts)

    with clock.step("prepare"):
        folds, whole = prepare(rows.where(F.col("part") == TRAIN), counts["rows.train"], settings)

    with clock.step("cross_validate"):
        ensemble = members(settings, partitions=whole.rows.rdd.getNumPartitions())
        validated = cross_validate(spark, ensemble, folds, settings.parallelism)

    with clock.step("stack"):
        names = [one.member.name for one in validated]
        held_out = out_of_fold(validated, folds).coalesce(1).localCheckpoint()
        stack = honest_stack(held_out, names)
        real, prices = member_prices(held_out, names)
        intervals = fit_intervals(stack.predict(prices), real, settings.confidence)

    with clock.step("fit"):
        fits = fit_on_all(spark, validated, whole, settings.parallelism)
        stages = {name: fit.stage(scratch) for name, fit in fits.items()}
        model = pricing_model(raw_stages(whole.today, whole.labels), stages, stack, intervals)

    with clock.step("test"):
        evaluated = evaluation.evaluate(model, rows, names)

    with clock.step("export"):
        train_sets.export(rows, servers, run.info.run_id)

    with clock.step("record"):
        tracking.log_ensemble(validated, stack, real, prices)
        tracking.log_evaluation(evaluated, stages)

    with clock.step("register"):
        tags = {tracking.JOB: job.name, tracking.BATCHES: ",".join(batches)}
        version = tracking.register(model, run, settings.model_name, tags, scratch)

    mlflow.log_metrics(clock.seconds)
    log.info(
        "training.registered", version=int(version.version), seconds=round(sum(clock.seconds.values()), 1)
    )
    return version
