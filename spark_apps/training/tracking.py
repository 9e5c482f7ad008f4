"""What is kept of a training in MLflow: parameters, metrics, seconds, pictures, the model."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import mlflow.spark
import pyspark
import requests
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.types import ColSpec, Schema, TensorSpec

from spark_apps.listings.cleaning import USED_COLUMNS
from spark_apps.listings.features import CATEGORIES, NUMBERS
from spark_apps.listings.schema import RAW_COLUMNS
from spark_apps.model_digest import digest
from spark_apps.training.figures import (
    Numbers,
    importances,
    predicted_against_real,
    residuals_by_price_band,
)
from spark_apps.training.metrics import Errors
from spark_apps.training.preparation import tree_feature_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel

    from spark_apps.training.crossvalidation import Setting, Validated
    from spark_apps.training.evaluation import Evaluation
    from spark_apps.training.stacking import Stack

JOB = "pipelines.job"
BATCHES = "pipelines.batches"
DIGEST = "pipelines.digest"

_SPARK_MODEL = "sparkml"  # the folder that MLflow's Spark flavor keeps the PipelineModel in


class TrackingUnavailableError(RuntimeError):
    """MLflow did not answer, or refused; the message names its address and the reason."""


@contextmanager
def answering(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow's client raises into one sentence."""
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrackingUnavailableError(f"MLflow at {tracking_uri} did not answer: {reason}") from error


def newest_version(model_name: str, job: str | None = None) -> ModelVersion | None:
    """Return the newest version of the model, or the newest that ``job`` registered, or None."""
    # Not by a filter on the tag: a batch's name may hold any quote, and MLflow's filter knows no escape.
    versions: list[ModelVersion] = MlflowClient().search_model_versions(
        f"name='{model_name}'", max_results=10_000
    )
    found = [version for version in versions if job is None or version.tags.get(JOB) == job]
    return max(found, key=lambda version: int(version.version), default=None)


def log_data(counts: Mapping[str, int], batches: Sequence[str]) -> None:
    """Keep the data's own numbers: rows by what became of them, batches, schema."""
    mlflow.log_metrics({name: float(count) for name, count in counts.items()})
    mlflow.set_tag(BATCHES, ",".join(batches))
    mlflow.log_dict(
        {
            "raw_columns": list(RAW_COLUMNS),
            "used_columns": list(USED_COLUMNS),
            "numbers": {name: asdict(number) for name, number in NUMBERS.items()},
            "categories": dict(CATEGORIES),
        },
        "schema.json",
    )


def log_ensemble(validated: Sequence[Validated], stack: Stack, real: Numbers, prices: Numbers) -> None:
    """Keep the grids with their scores, the parameters chosen, the seconds, the weights of the stack."""
    params: dict[str, float] = {}
    metrics: dict[str, float] = {}
    for one, weight in zip(validated, stack.weights, strict=True):
        name = one.member.name
        params |= {f"{name}.{key}": value for key, value in one.best.final_params().items()}
        metrics |= one.best.errors.named(f"cv.{name}")
        metrics |= {
            f"seconds.train.{name}": one.fit_seconds,
            f"seconds.validate.{name}": one.validation_seconds,
        }
        metrics[f"stack.weight.{name}"] = weight
    metrics["stack.intercept"] = stack.intercept
    metrics |= Errors.of(stack.predict(prices), real).named("cv.stack")
    mlflow.log_params(params)
    mlflow.log_metrics(metrics)
    mlflow.log_dict({one.member.name: [_setting(s) for s in one.settings] for one in validated}, "grids.json")


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "params": setting.params,
        **setting.errors.named("cv"),
        "folds": [
            {
                "fold": fold.fold,
                **fold.fit.chosen(),
                **fold.errors.named("cv"),
                "fit_seconds": fold.fit_seconds,
                "validation_seconds": fold.validation_seconds,
            }
            for fold in setting.fits
        ],
    }


def log_evaluation(evaluated: Evaluation, stages: Mapping[str, Any]) -> None:
    """Keep the finished model's errors, its interval's coverage, and the pictures."""
    metrics = {
        name: value
        for part, models in evaluated.errors.items()
        for model, found in models.items()
        for name, value in found.named(f"{part}.{model}").items()
    }
    mlflow.log_metrics(
        metrics | {"test.coverage": evaluated.coverage, "test.interval_width": evaluated.width}
    )
    pictures = {
        "predicted_against_real": predicted_against_real(evaluated.predicted, evaluated.real),
        "residuals_by_price_band": residuals_by_price_band(evaluated.predicted, evaluated.real),
    }
    boosting = stages.get("gradient_boosting")
    if boosting is not None:
        shares = dict(zip(tree_feature_names(), boosting.featureImportances.toArray().tolist(), strict=True))
        mlflow.log_dict(dict(sorted(shares.items(), key=lambda item: -item[1])), "importances.json")
        pictures["importances"] = importances(shares)
    for name, figure in pictures.items():
        mlflow.log_figure(figure, f"pictures/{name}.png")


def register(
    model: PipelineModel, run: Run, model_name: str, tags: Mapping[str, str], scratch: str
) -> ModelVersion:
    """Keep the model in the run and register it; the version has its tags and the digest from the start."""
    info = mlflow.spark.log_model(
        model,
        "model",
        signature=_signature(),
        pip_requirements=[f"mlflow=={mlflow.__version__}", f"pyspark=={pyspark.__version__}"],
        dfs_tmpdir=scratch,
    )
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(download_artifacts(info.model_uri, dst_path=folder))
        all_tags = {**tags, DIGEST: digest(kept / _SPARK_MODEL)}
    client = MlflowClient()
    try:
        client.create_registered_model(model_name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    for key, value in all_tags.items():
        mlflow.set_tag(key, value)
    return client.create_model_version(
        model_name, source=info.model_uri, run_id=run.info.run_id, tags=all_tags, model_id=info.model_id
    )


def _signature() -> Any:
    prices: list[ColSpec | TensorSpec] = [ColSpec("double", name) for name in ("prediction", "low", "high")]
    texts: list[ColSpec | TensorSpec] = [
        ColSpec("string", name, required=False) for name in RAW_COLUMNS if name != "price"
    ]
    return ModelSignature(inputs=Schema(texts), outputs=Schema(prices))
