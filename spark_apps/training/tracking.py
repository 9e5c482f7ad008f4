"""What is kept of a training in MLflow: parameters, metrics, seconds, pictures, the model."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import mlflow.spark
import pandas  # type: ignore[import-untyped]
import pyspark
import requests
import structlog
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, load_dict
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.spark_dataset_source import SparkDatasetSource
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.types import ColSpec, Schema, TensorSpec
from pydantic import ValidationError

from spark_apps.listings.cleaning import USED_COLUMNS
from spark_apps.listings.features import CATEGORIES, NUMBERS, VARIANTS
from spark_apps.listings.profile import Profile
from spark_apps.listings.quality import KEPT_COLUMNS
from spark_apps.listings.samples import LISTING
from spark_apps.listings.schema import RAW_COLUMNS
from spark_apps.model_digest import code_version, digest
from spark_apps.training import background, figures
from spark_apps.training.intervals import calibration
from spark_apps.training.metrics import Errors
from spark_apps.training.nested_runs import log_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matplotlib.figure import Figure
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from pyspark.ml import PipelineModel

    from control_plane.failures import Finding
    from spark_apps.drift.reference import Reference
    from spark_apps.training.ensemble import Ensemble
    from spark_apps.training.evaluation import Evaluation
    from spark_apps.training.quality_gate import Verdict

log = structlog.get_logger()

JOB = "pipelines.job"
BATCHES = "pipelines.batches"
DIGEST = "pipelines.digest"
CODE = "pipelines.code"
PROFILE = "pipelines.profile"
REFERENCE = "pipelines.reference"

_ABOUT = "Prices a used car, in dollars, from its raw listing. A version is what one training made."
_INPUTS = tuple(name for name in RAW_COLUMNS if name != "price")

_PROFILE_FILE = "profile.json"
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


def profile_of(version: ModelVersion | None) -> Profile | None:
    """Return the profile of the batch that a version was registered for; none of one from before profiles."""
    if version is None or version.run_id is None:
        return None
    try:
        there = {file.path for file in MlflowClient().list_artifacts(version.run_id)}
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):  # the run was deleted
            return None
        raise
    if _PROFILE_FILE not in there:
        return None
    try:
        return Profile.model_validate(load_dict(f"runs:/{version.run_id}/{_PROFILE_FILE}"))
    except ValidationError as error:  # no override would help against it
        log.warning("training.last_profile_unreadable", run_id=version.run_id, reason=str(error))
        return None


def log_profile(profile: Profile, found: Sequence[Finding], verdict: Verdict) -> None:
    """Keep a batch's profile, what was found against the last accepted one, and what became of it."""
    mlflow.log_dict(profile.model_dump(mode="json"), _PROFILE_FILE)
    mlflow.log_dict({"findings": [finding.model_dump() for finding in found]}, "findings.json")
    mlflow.log_metrics(
        {f"profile.missing.{name}": share for name, share in profile.missing.items()}
        | {f"profile.median.{name}": value for name, value in profile.medians.items()}
        | {"profile.findings": float(len(found))}
    )
    mlflow.set_tag(PROFILE, verdict)


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
            "variants": dict(VARIANTS),
        },
        "schema.json",
    )


def log_train_set(path: str, batches: Sequence[str], content: str) -> None:
    """Keep which train set this was: its address, and a digest of its ``content``."""
    columns: list[ColSpec | TensorSpec] = [
        ColSpec("double" if name == "label" else "string", name, required=False)
        for name in (*KEPT_COLUMNS, "label")
    ]
    source, name = SparkDatasetSource(path=path), f"train set with {batches[-1]}"
    # An abstract class by mypy's lights, which lacks only a profile: null for it at run time.
    train_set = MetaDataset(source, name, content, Schema(columns))  # type: ignore[abstract]
    mlflow.log_input(train_set, context="training")


def log_ensemble(ensemble: Ensemble, run: Run) -> None:
    """Keep the parameters chosen, scores, seconds and the stack's weights; each fit in a nested run."""
    params: dict[str, float] = {}
    metrics: dict[str, float] = {}
    for one, weight in zip(ensemble.validated, ensemble.stack.weights, strict=True):
        name = one.member.name
        params |= {f"{name}.{key}": value for key, value in one.best.final_params().items()}
        metrics |= one.best.errors.named(f"cv.{name}")
        metrics |= {
            f"seconds.train.{name}": one.fit_seconds,
            f"seconds.validate.{name}": one.validation_seconds,
        }
        metrics[f"stack.weight.{name}"] = weight
    metrics["stack.intercept"] = ensemble.stack.intercept
    metrics |= Errors.of(ensemble.stacked, ensemble.real).named("cv.stack")
    mlflow.log_params(params)
    mlflow.log_metrics(metrics)
    log_members(run, ensemble.validated)


def log_evaluation(ensemble: Ensemble, evaluated: Evaluation) -> None:
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
    shares = ensemble.importances()
    mlflow.log_dict(dict(sorted(shares.items(), key=lambda item: -item[1])), "importances.json")
    for name, figure in _pictures(ensemble, evaluated, shares):
        mlflow.log_figure(figure, f"pictures/{name}.png")


def _pictures(
    ensemble: Ensemble, evaluated: Evaluation, shares: Mapping[str, float]
) -> Iterator[tuple[str, Figure]]:
    predicted, real = evaluated.predicted, evaluated.real
    yield "predicted_against_real", figures.predicted_against_real(predicted, real)
    yield "residuals_by_price_band", figures.residuals_by_price_band(predicted, real)
    yield "calibration", figures.calibration(calibration(ensemble.stacked, ensemble.real, predicted, real))
    if shares:
        yield "importances", figures.importances(shares)
    for one in ensemble.validated:
        curves = [fold.curves for fold in one.best.fits]
        if any(curves):
            yield f"learning_curve_{one.member.name}", figures.learning_curve(one.member.name, curves)


def register(
    model: PipelineModel,
    run: Run,
    model_name: str,
    tags: Mapping[str, str],
    scratch: str,
    means: background.Means,
    reference: Reference,
    card: Callable[[Mapping[str, str]], str],
) -> ModelVersion:
    """Keep the model in the run and register it; the version has its tags and digest from the start.

    ``means`` and ``reference`` go with the model's files, ``card`` makes the version's description from its
    tags.
    """
    # Not mlflow.spark.log_model, which tries the example out: for that it loads the model, for up to 35 s.
    info = Model.log(
        artifact_path=None,  # the old word for the name
        name="model",
        flavor=mlflow.spark,
        spark_model=model,
        signature=_signature(),
        input_example=pandas.DataFrame([{name: LISTING.get(name) for name in _INPUTS}]),
        pip_requirements=[f"mlflow=={mlflow.__version__}", f"pyspark=={pyspark.__version__}"],
        dfs_tmpdir=scratch,
        validate_serving_input=False,
    )
    client = MlflowClient()
    with tempfile.TemporaryDirectory() as folder:
        background.write(means, Path(folder))
        reference.write(Path(folder))
        client.log_model_artifacts(info.model_id, folder, _SPARK_MODEL)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(download_artifacts(info.model_uri, dst_path=folder))
        all_tags = {
            **tags,
            DIGEST: digest(kept / _SPARK_MODEL),
            REFERENCE: reference.digest,
            CODE: code_version(),
        }
    description = card(all_tags)
    mlflow.log_text(description, "model_card.md")
    try:
        client.create_registered_model(model_name, description=_ABOUT)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    for key, value in all_tags.items():
        mlflow.set_tag(key, value)
    return client.create_model_version(
        model_name,
        source=info.model_uri,
        run_id=run.info.run_id,
        tags=all_tags,
        model_id=info.model_id,
        description=description,
    )


def _signature() -> Any:
    prices: list[ColSpec | TensorSpec] = [ColSpec("double", name) for name in ("prediction", "low", "high")]
    texts: list[ColSpec | TensorSpec] = [ColSpec("string", name, required=False) for name in _INPUTS]
    return ModelSignature(inputs=Schema(texts), outputs=Schema(prices))
