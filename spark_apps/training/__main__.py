"""``python -m spark_apps.training --batch <id> --attempt <n>``: 0 when a version is registered, else 1.

On failure what the control plane needs to know goes to the file that ``TERMINATION_MESSAGE_PATH`` names
(``control_plane.failures``).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import structlog
from hdfs import HdfsError, InsecureClient

from control_plane import logs
from control_plane.failures import Failure
from control_plane.settings import Servers, SettingsError, load
from spark_apps import executors
from spark_apps.listings.reading import BatchError, StorageUnavailableError
from spark_apps.session import SparkSettings, SparkUnavailableError, spark_session
from spark_apps.training.quality_gate import BatchRefusedError
from spark_apps.training.settings import GateSettings, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from pyspark.sql import SparkSession

log = structlog.get_logger()

# MLflow's client tries seven times with growing pauses: too long for a job that is tried again as a whole.
_MLFLOW_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def main() -> int:
    """Run the job and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m spark_apps.training", description="Train on a batch.")
    parser.add_argument("--batch", required=True, help="the batch's folder under /batches in HDFS")
    parser.add_argument("--attempt", required=True, type=int, help="the number of the attempt, from 1")
    parser.add_argument(
        "--accept-profile",
        choices=("true", "false"),
        default="false",
        help="whether the batch is taken however unlike the last accepted one it is",
    )
    arguments = parser.parse_args()
    logs.configure()
    structlog.contextvars.bind_contextvars(batch=arguments.batch, attempt=arguments.attempt)
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    return _run(arguments.batch, arguments.attempt, accept_profile=arguments.accept_profile == "true")


def _run(batch: str, attempt: int, *, accept_profile: bool) -> int:
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(_spark)  # it takes seconds, and so does the import of MLflow
        from spark_apps.training.tracking import TrackingUnavailableError  # noqa: PLC0415

        expected = (
            BatchError,
            SettingsError,
            SparkUnavailableError,
            StorageUnavailableError,
            TrackingUnavailableError,
        )
        try:
            _train(starting, batch=batch, attempt=attempt, accept_profile=accept_profile)
        except expected as error:
            log.error("training.failed", reason=str(error))  # noqa: TRY400  # the sentence says it all
            _leave(_failure(error))
        except Exception as error:
            log.exception("training.failed")
            first_line = (str(error).splitlines() or [""])[0]
            _leave(Failure(reason=f"{type(error).__name__}: {first_line}"))
        else:
            return 0
    return 1


def _settings() -> TrainingSettings:
    settings = load(TrainingSettings)
    if load(SparkSettings).on_kubernetes:
        return settings.model_copy(update={"cores": executors.settings().slots})
    return settings


def _spark() -> SparkSession:
    settings = _settings()
    conf = {
        "spark.scheduler.mode": "FAIR",
        "spark.sql.shuffle.partitions": str(settings.cores),
        "spark.sql.adaptive.enabled": "false",
        # Whole stages of wide frames take longer to compile than to evaluate expression by expression.
        "spark.sql.codegen.wholeStage": "false",
        "spark.driver.defaultJavaOptions": settings.java_options,
        # the plans of wide frames are long, and nobody reads them
        "spark.sql.debug.maxToStringFields": "10",
    }
    if load(SparkSettings).on_kubernetes:
        conf["spark.hadoop.fs.defaultFS"] = load(Servers).hdfs_root  # where MLflow takes the model from
    return spark_session("training", cores=settings.cores, memory=settings.memory, conf=conf)


def _failure(error: Exception) -> Failure:
    """Say why there is no model: what is wrong with a batch stays wrong, however often it is trained on."""
    profile = error.profile if isinstance(error, BatchRefusedError) else None
    return Failure(reason=str(error), final=isinstance(error, BatchError), profile=profile)


def _train(starting: Future[SparkSession], **job: Any) -> None:
    from spark_apps.training.app import Job, train  # noqa: PLC0415  # after MLflow's settings are made

    settings, gate, servers = _settings(), load(GateSettings), load(Servers)
    spark = starting.result()
    with _scratch(servers) as scratch:
        train(spark, servers, settings, gate, Job(**job), scratch)


@contextmanager
def _scratch(servers: Servers) -> Iterator[str]:
    """Yield a folder that driver and executors see alike: one of HDFS, where executors are elsewhere."""
    if not load(SparkSettings).on_kubernetes:
        with tempfile.TemporaryDirectory(prefix="training-") as folder:
            yield Path(folder).as_uri()
        return
    path = f"/tmp/training-{uuid.uuid4().hex}"  # noqa: S108 - of HDFS
    try:
        yield f"{servers.hdfs_root}{path}"
    finally:
        with suppress(HdfsError, requests.RequestException):  # what is left there does no harm
            InsecureClient(servers.hdfs_url, timeout=30).delete(path, recursive=True)


def _leave(failure: Failure) -> None:
    if path := os.environ.get("TERMINATION_MESSAGE_PATH"):
        Path(path).write_text(failure.message())


if __name__ == "__main__":
    sys.exit(main())
