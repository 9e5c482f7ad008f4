"""Models registered in MLflow as a training does it, without the minute that ``log_model`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow

from spark_apps.model_digest import digest

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.ml import PipelineModel


def register(mlflow_uri: str, name: str, model: PipelineModel, folder: Path, versions: int = 1) -> list[int]:
    """Save the model below ``folder``, register it so many times, and return the versions' numbers."""
    model.save((folder / "model" / "sparkml").as_uri())
    client = mlflow.MlflowClient(mlflow_uri)
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(folder / "model"), "model")
    tags = {"pipelines.digest": digest(folder / "model" / "sparkml")}
    source = f"{run.info.artifact_uri}/model"
    return [
        int(client.create_model_version(name, source, run.info.run_id, tags=tags).version)
        for _ in range(versions)
    ]
