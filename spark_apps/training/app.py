"""The training job: a batch in HDFS becomes a registered model. It reads top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import mlflow
import structlog
from pyspark.sql import functions as F

from spark_apps.training import evaluation, tracking, train_sets
from spark_apps.training.ensemble import Clock, fit_ensemble
from spark_apps.training.kept_fits import kept_fits
from spark_apps.training.model_card import model_card
from spark_apps.training.rows import TRAIN, account, judged_batch, quarantine, row_counts, training_rows

if TYPE_CHECKING:
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
        joined = training_rows(records, earlier, settings, job.batch)
        rows, older = train_sets.newest(joined, settings.rows_at_most)
        counts |= row_counts(rows, counts["rows.usable"], earlier, older, settings)
        batches = train_sets.batches(rows)
        content = train_sets.content_digest(rows)
        kept = kept_fits(servers, settings, job.batch, content)
        tracking.log_data(counts, batches)
        log.info("training.rows", **counts)

    train = rows.where(F.col("part") == TRAIN)
    ensemble = fit_ensemble(train, counts["rows.train"], settings, clock, scratch, kept)

    with clock.step("test"):
        evaluated = evaluation.evaluate(ensemble.model, rows, ensemble.names)

    with clock.step("export"):
        train_sets.export(rows, servers, run.info.run_id)
        address = f"{servers.hdfs_root}{train_sets.path(run.info.run_id)}"
        tracking.log_train_set(address, batches, content)

    with clock.step("record"):
        tracking.log_ensemble(ensemble, run)
        tracking.log_evaluation(ensemble, evaluated)

    with clock.step("register"):
        tags = {tracking.JOB: job.name, tracking.BATCHES: ",".join(batches)}
        card = partial(model_card, ensemble, evaluated, settings, counts)
        version = tracking.register(
            ensemble.model, run, settings.model_name, tags, scratch, ensemble.background, card
        )

    kept.forget()
    mlflow.log_metrics(clock.seconds)
    log.info(
        "training.registered", version=int(version.version), seconds=round(sum(clock.seconds.values()), 1)
    )
    return version
