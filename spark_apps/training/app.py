"""The training job: a batch in HDFS becomes a registered model. It reads top to bottom."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import mlflow
import structlog
from pyspark.sql import functions as F

from spark_apps.listings.profile import profile
from spark_apps.training import evaluation, tracking, train_sets
from spark_apps.training.ensemble import Clock, fit_ensemble
from spark_apps.training.kept_fits import kept_fits
from spark_apps.training.model_card import model_card
from spark_apps.training.quality_gate import Verdict, findings, judge, refusal
from spark_apps.training.reference import reference
from spark_apps.training.rows import TRAIN, account, judged_batch, quarantine, row_counts, training_rows

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.sql import SparkSession

    from control_plane.settings import Servers
    from spark_apps.listings.profile import Profile
    from spark_apps.training.settings import GateSettings, TrainingSettings

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """What is to be done: one attempt at one batch, taken whatever its profile if that is said."""

    batch: str
    attempt: int
    accept_profile: bool = False

    @property
    def name(self) -> str:
        """The job's name, by which the control plane finds what it registered."""
        return f"train-{self.batch}-{self.attempt}"


def train(
    spark: SparkSession,
    servers: Servers,
    settings: TrainingSettings,
    gate: GateSettings,
    job: Job,
    scratch: str,
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
            return _train(spark, servers, settings, gate, job, scratch, run)


def _train(
    spark: SparkSession,
    servers: Servers,
    settings: TrainingSettings,
    gate: GateSettings,
    job: Job,
    scratch: str,
    run: Run,
) -> ModelVersion:
    clock = Clock()
    bounds = {f"gate_{name}": bound for name, bound in gate.model_dump().items()}
    mlflow.log_params({**asdict(job), **settings.model_dump(), **bounds})

    with clock.step("read"):
        records = judged_batch(spark, servers, settings, job.batch)
        batch_profile = profile(records, job.batch)
        counts = account(batch_profile)
        if counts["rows.quarantined"]:
            quarantine(records, servers, job.batch)

    with clock.step("judge"):
        before = tracking.newest_version(settings.model_name)
        verdict = _admitted(batch_profile, tracking.profile_of(before), gate, job, run)

    with clock.step("join"):
        go_on_from = before.run_id if before and settings.cumulative else None
        earlier = train_sets.earlier(spark, servers, go_on_from, job.batch)
        joined = training_rows(records, earlier, settings, job.batch)
        rows, older = train_sets.newest(joined, settings.rows_at_most)
        records.unpersist()
        counts |= row_counts(rows, counts["rows.usable"], earlier, older, settings)
        batches = train_sets.batches(rows)
        content = train_sets.content_digest(rows)
        kept = kept_fits(servers, settings, job.batch, content)
        tracking.log_data(counts, batches)
        log.info("training.rows", **counts)

    train = rows.where(F.col("part") == TRAIN)
    ensemble = fit_ensemble(train, counts["rows.train"], settings, clock, scratch, kept)

    with clock.step("reference"):
        drift_from = reference(train, ensemble)

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
        tags = {
            tracking.JOB: job.name,
            tracking.BATCHES: ",".join(batches),
            tracking.PROFILE: verdict.value,
        }
        card = partial(model_card, ensemble, evaluated, settings, counts)
        version = tracking.register(
            ensemble.model, run, settings.model_name, tags, scratch, ensemble.background, drift_from, card
        )

    kept.forget()
    mlflow.log_metrics(clock.seconds)
    log.info(
        "training.registered", version=int(version.version), seconds=round(sum(clock.seconds.values()), 1)
    )
    return version


def _admitted(profile: Profile, last: Profile | None, gate: GateSettings, job: Job, run: Run) -> Verdict:
    """Keep the batch's profile, and hold it against the last accepted one.

    Raises: BatchRefusedError for a batch beyond the bounds, unless it is to be accepted all the same.
    """
    found = findings(profile, last, gate)
    verdict = judge(found, last, accept=job.accept_profile)
    tracking.log_profile(profile, found, verdict)
    log.info("training.judged", verdict=verdict.value, findings=[finding.what for finding in found])
    if verdict is Verdict.REFUSED:
        raise refusal(profile, found, run.info.run_id)
    return verdict
