"""The model to serve: fetched from MLflow while Spark starts, its files checked, loaded by Spark ML.

Fetching is a process of its own (``python -m spark_apps.serving.model``): MLflow's client would cost the
server some 200 MB for as long as it lives.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from control_plane import logs
from spark_apps.model_digest import digest
from spark_apps.serving.processes import die_with_parent

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = structlog.get_logger()

_POLL_S = 1.0
_SPARK_MODEL = "sparkml"  # the folder that MLflow's Spark flavor keeps the PipelineModel in


class ModelError(RuntimeError):
    """The model cannot be had or must not be loaded; the message says why."""


class Fetched(msgspec.Struct, frozen=True):
    """A model version whose files are here."""

    version: int
    folder: str

    def load(self, spark: SparkSession) -> LoadedModel:
        """Load the files as a ``PipelineModel`` of the JVM."""
        models: Any = spark._jvm
        return LoadedModel(models.org.apache.spark.ml.PipelineModel.load(Path(self.folder).as_uri()))


@dataclass(frozen=True)
class LoadedModel:
    """A ``PipelineModel`` of the JVM without Python's copy of its stages, whose making takes seconds."""

    java_model: Any

    def transform(self, listings: DataFrame) -> DataFrame:
        """Add the model's columns."""
        from pyspark.sql import DataFrame  # noqa: PLC0415 - the fetching process needs no Spark

        return DataFrame(self.java_model.transform(listings._jdf), listings.sparkSession)


@dataclass
class Fetch:
    """A fetch under way."""

    process: subprocess.Popen[bytes]

    @classmethod
    def begin(cls, model: str, version: int | None, folder: Path) -> Fetch:
        """Begin to fetch ``version``, or the newest one as soon as there is one, into ``folder``."""
        pinned = [] if version is None else [f"--version={version}"]
        command = [sys.executable, "-m", "spark_apps.serving.model", model, str(folder), *pinned]
        return cls(subprocess.Popen([*command, f"--parent={os.getpid()}"], stdout=subprocess.PIPE))

    def result(self, heartbeat: Path | None = None) -> Fetched:
        """Wait for the files, and meanwhile touch ``heartbeat`` every second."""
        while True:
            try:
                output, _ = self.process.communicate(timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                if heartbeat:
                    heartbeat.touch()
        if self.process.returncode != 0:
            reason = output.decode(errors="replace").strip()
            raise ModelError(reason or "the model could not be fetched; the reason stands above")
        return msgspec.json.decode(output, type=Fetched)


def fetch(model: str, version: int | None, folder: Path) -> Fetched:
    """Download the version's files and check them against the digest that its tag names."""
    import mlflow  # noqa: PLC0415 - see the module's docstring
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415

    client = mlflow.MlflowClient()
    found = version or _newest(client, model)
    tags = client.get_model_version(model, str(found)).tags
    files = Path(download_artifacts(f"models:/{model}/{found}", dst_path=str(folder))) / _SPARK_MODEL
    expected, actual = tags.get("pipelines.digest"), digest(files)
    if expected is not None and expected != actual:
        raise ModelError(f"{model} {found} has the digest {actual}, not {expected} as registered: not loaded")
    return Fetched(found, str(files))


def _newest(client: object, model: str) -> int:
    waited = False
    while True:
        versions = client.search_model_versions(f"name='{model}'", max_results=1_000)  # type: ignore[attr-defined]
        if versions:
            return max(int(found.version) for found in versions)
        if not waited:
            log.info("model.awaited", model=model)
            waited = True
        time.sleep(_POLL_S)


def main() -> int:
    """Fetch, and print where the files are as JSON, or why there are none."""
    parser = argparse.ArgumentParser(description="Fetch a model version's files from MLflow.")
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", type=int)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    die_with_parent(arguments.parent)  # else it would wait for its model for ever
    logs.configure()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    try:
        found = fetch(arguments.model, arguments.version, arguments.folder)
    except Exception as error:
        log.exception("model.fetch_failed", reason=str(error))
        sys.stdout.write(str(error))
        return 1
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
