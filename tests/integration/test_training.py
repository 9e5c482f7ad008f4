"""The training job as the control plane runs it: a process, on real HDFS and MLflow."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hdfs import InsecureClient

from control_plane.explanations import Explanation
from control_plane.failures import Failure
from control_plane.registry import Registry
from control_plane.simulator.batches import deliver
from control_plane.simulator.generator import generate
from spark_apps.drift.inputs import CATEGORIES, NUMBERS
from spark_apps.drift.reference import Reference
from spark_apps.listings.samples import LISTING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from control_plane.registry import ModelVersion
    from control_plane.settings import Servers

MEMBERS = ("gradient_boosting", "linear_svm", "linear_regression")
FOLDS, SETTINGS = 2, 2
BROKEN = "this,record,has,five,fields\n"


def start_job(
    servers: Servers, batch: str, attempt: int, folder: Path, *options: str, **settings: str
) -> subprocess.Popen[bytes]:
    small = {"TRAINING_FOLDS": str(FOLDS), "TRAINING_GRID": str(SETTINGS)} | settings
    told = small | {"TERMINATION_MESSAGE_PATH": str(folder / "reason")}
    command = [
        sys.executable,
        "-m",
        "spark_apps.training",
        f"--batch={batch}",
        f"--attempt={attempt}",
        *options,
    ]
    with (folder / f"{attempt}.log").open("wb") as output:
        environment = os.environ | servers.environment() | told
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def run_job(servers: Servers, batch: str, folder: Path) -> int:
    with start_job(servers, batch, 1, folder) as job:
        return job.wait(280)


@dataclass(frozen=True)
class Trained:
    """A version, and what the attempts at it logged."""

    version: ModelVersion
    logs: tuple[str, str]


@pytest.fixture(scope="module")
def trained(sandbox: Servers, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on 1,500 generated listings and one broken record, the first attempt killed in its midst."""
    folder = tmp_path_factory.mktemp("batch")
    [part] = generate(1_500, 11, folder, parts=1).parts
    with part.open("a") as file:
        file.write(BROKEN)
    deliver(sandbox.hdfs_url, folder, "trained")
    hdfs = InsecureClient(sandbox.hdfs_url)
    with start_job(sandbox, "trained", 1, folder) as first:
        deadline = time.monotonic() + 120
        while not (hdfs.content("/trainings/trained", strict=False) or {"length": 0})["length"]:
            assert first.poll() is None, (folder / "1.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        first.kill()
    with start_job(sandbox, "trained", 2, folder) as second:
        assert second.wait(280) == 0, (folder / "2.log").read_text()
    found = Registry(sandbox.mlflow_tracking_uri).trained_by("train-trained-2")
    assert found is not None
    return Trained(found, ((folder / "1.log").read_text(), (folder / "2.log").read_text()))


@pytest.fixture(scope="module")
def version(trained: Trained) -> ModelVersion:
    """The version of that training."""
    return trained.version


@pytest.mark.timeout(400)
def test_another_attempt_goes_on_where_a_killed_one_ended(sandbox: Servers, trained: Trained) -> None:
    first, second = trained.logs
    fitted, again = (log.count('"training.member.fitted"') for log in (first, second))
    found = second.count("training.member.fitted_before")

    assert fitted >= 1
    assert 1 <= found <= fitted
    assert found + again == len(MEMBERS) * FOLDS * SETTINGS
    assert not InsecureClient(sandbox.hdfs_url).status("/trainings/trained", strict=False), "it is tidied up"


@pytest.mark.timeout(400)
def test_a_training_registers_a_version_with_its_batches_digest_and_figures(
    sandbox: Servers, version: ModelVersion
) -> None:
    metrics = Registry(sandbox.mlflow_tracking_uri).metrics(version.run_id)

    assert version.batches == ("trained",)
    assert version.digest
    for model in ("stack", *MEMBERS):
        assert metrics[f"test.{model}.rmse"] > metrics[f"test.{model}.mae"] > 0
    for member in MEMBERS:
        assert metrics[f"seconds.train.{member}"] > 0


@pytest.mark.timeout(400)
def test_the_reference_of_its_train_rows_comes_with_the_model(
    sandbox: Servers, version: ModelVersion
) -> None:
    registry = Registry(sandbox.mlflow_tracking_uri)
    metrics = registry.metrics(version.run_id)
    reference = Reference.model_validate_json(registry.file_of(version.version, "sparkml/reference.json"))

    assert reference.digest == version.reference
    inputs = {**reference.numbers, **reference.categories}
    assert set(inputs) == {*NUMBERS, *CATEGORIES}
    assert {sum(bins.tally) for bins in inputs.values()} == {metrics["rows.train"]}
    assert len(reference.numbers["mileage"].edges) == 9
    assert "ford" in reference.categories["make"].labels
    for output in ("prediction", "interval_width"):
        assert sum(reference.outputs[output].tally) == metrics["rows.train"]
    assert all(
        0 < mae < rmse < 3 for mae, rmse in zip(reference.errors.mae, reference.errors.rmse, strict=True)
    )


@pytest.mark.timeout(400)
def test_mlflow_has_every_fit_the_data_the_pictures_and_a_card(
    sandbox: Servers, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds
    from mlflow.models import get_model_info  # noqa: PLC0415

    client = MlflowClient(sandbox.mlflow_tracking_uri)
    run = client.get_run(version.run_id)

    def under(parent: str) -> dict[str, Any]:
        found = client.search_runs(
            [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=100
        )
        return {one.info.run_name: one for one in found}

    members = under(version.run_id)
    assert set(members) == set(MEMBERS)
    for name, member in members.items():
        fits = under(member.info.run_id)
        assert len(fits) == FOLDS * SETTINGS
        assert all(fit.info.end_time > fit.info.start_time for fit in fits.values())
        assert member.data.metrics["cv.rmse"] == run.data.metrics[f"cv.{name}.rmse"]
    boosting = under(members["gradient_boosting"].info.run_id).values()
    best = [fit for fit in boosting if fit.data.tags["pipelines.best"] == "true"]
    assert len(best) == FOLDS
    for fit in best:
        assert len(client.get_metric_history(fit.info.run_id, "rounds.stopping")) > 1

    [train_set] = run.inputs.dataset_inputs
    assert f"/train-sets/{version.run_id}" in train_set.dataset.source
    assert {Path(one.path).stem for one in client.list_artifacts(version.run_id, "pictures")} == {
        "calibration",
        "importances",
        "learning_curve_gradient_boosting",
        "predicted_against_real",
        "residuals_by_price_band",
    }
    registered = client.get_model_version("used-car-price", str(version.version))
    assert f"${run.data.metrics['test.stack.rmse']:,.0f}" in registered.description
    assert "nothing to compare with" in registered.description
    assert registered.tags["pipelines.code"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sandbox.mlflow_tracking_uri)
    assert get_model_info(registered.source).saved_input_example_info["type"] == "dataframe"


@pytest.mark.timeout(400)
def test_the_train_set_and_the_quarantined_record_are_in_hdfs(
    sandbox: Servers, version: ModelVersion
) -> None:
    hdfs = InsecureClient(sandbox.hdfs_url)
    metrics = Registry(sandbox.mlflow_tracking_uri).metrics(version.run_id)
    [kept] = [name for name in hdfs.list("/quarantine/trained") if name.startswith("part-")]

    assert hdfs.status(f"/train-sets/{version.run_id}/_SUCCESS")
    assert metrics["rows.quarantined"] == 1
    assert metrics["rows.read"] == 1_501
    with hdfs.read(f"/quarantine/trained/{kept}", encoding="utf-8") as lines:
        assert BROKEN.strip() in lines.read()


@pytest.mark.timeout(400)
def test_the_registered_model_prices_raw_listings_and_never_throws(
    sandbox: Servers,
    version: ModelVersion,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow  # noqa: PLC0415 - takes seconds

    from spark_apps.listings.schema import with_raw_columns  # noqa: PLC0415
    from spark_apps.serving.model import Fetch  # noqa: PLC0415

    monkeypatch.setenv("MLFLOW_TRACKING_URI", sandbox.mlflow_tracking_uri)
    mlflow.set_tracking_uri(sandbox.mlflow_tracking_uri)
    model = mlflow.spark.load_model(f"models:/used-car-price/{version.version}")
    served = Fetch.begin("used-car-price", version.version, tmp_path / "served").result().load(spark)
    asked = spark.createDataFrame(
        [
            ("r-1", "Honda", "Civic", "2017", "31000"),
            ("r-2", "Honda", "Civic", "abc", "NaN"),
            ("r-3", None, None, None, "1e300"),
        ],
        "request_id string, make_name string, model_name string, year string, mileage string",
    )

    answers = {row["request_id"]: row for row in model.transform(with_raw_columns(asked)).collect()}

    assert answers == {row["request_id"]: row for row in served.transform(with_raw_columns(asked)).collect()}
    assert set(answers) == {"r-1", "r-2", "r-3"}
    for answer in answers.values():
        assert 0 <= answer["low"] <= answer["prediction"] <= answer["high"]
        assert tuple(answer["members"].asDict()) == MEMBERS


@pytest.mark.timeout(400)
def test_the_command_line_explains_a_listing_by_the_registered_model(
    sandbox: Servers, version: ModelVersion, java: Path, tmp_path: Path
) -> None:
    (tmp_path / "listing.json").write_text(json.dumps(LISTING, indent=2))
    (tmp_path / "listing.csv").write_text("make_name,model_name,year,mileage\nHonda,Civic,2017,31000\n")

    def explain(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "control_plane.cli", "explain", f"{tmp_path}/{name}", *options]
        environment = os.environ | sandbox.environment()
        return subprocess.run(
            command, env=environment, timeout=180, check=False, capture_output=True, text=True
        )

    # Named, because in the shared registry other tests' versions of nothing are champion.
    this = f"--version={version.version}"
    as_json, as_lines = explain("listing.json", this, "--json"), explain("listing.csv", this)
    unknown = explain("listing.csv", "--version=999")

    assert as_json.returncode == 0, as_json.stderr
    found = msgspec.json.decode(as_json.stdout, type=Explanation)
    assert found.model_version == version.version
    assert tuple(found.members) == MEMBERS
    assert found.base + sum(moved.dollars for moved in found.attributes) == pytest.approx(
        found.price, abs=0.006
    )
    assert as_lines.returncode == 0, as_lines.stderr
    first, *_, last = as_lines.stdout.splitlines()
    price = first.split(" ")[0]
    assert f"by model version {version.version}" in first
    assert last == f"this listing    {price}  "
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("pipelines: model version 999 was never registered; there are: ")
    assert unknown.stderr.count("\n") == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("batch", "content"),
    [
        ("empty", ""),
        ("other-schema", "colour,size\nred,3\n"),
    ],
)
def test_a_batch_that_cannot_be_trained_on_fails_with_one_sentence(
    sandbox: Servers, tmp_path: Path, batch: str, content: str
) -> None:
    (tmp_path / "part-00000.csv").write_text(content)
    deliver(sandbox.hdfs_url, tmp_path, batch)

    assert run_job(sandbox, batch, tmp_path) == 1
    failure = Failure.read((tmp_path / "reason").read_text())
    assert failure.final
    assert f"batch {batch} is " in failure.reason
    assert len(failure.reason.splitlines()) == 1


@pytest.fixture(scope="module")
def spoiled(sandbox: Servers, version: ModelVersion, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A batch delivered after ``version`` whose mileages are gone."""
    folder = tmp_path_factory.mktemp("spoiled")
    [part] = generate(1_500, 12, folder, parts=1).parts
    with part.open(newline="") as file:
        listings = list(csv.DictReader(file))
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, listings[0])
        writer.writeheader()
        writer.writerows(listing | {"mileage": ""} for listing in listings)
    deliver(sandbox.hdfs_url, folder, "spoiled")
    return "spoiled"


@pytest.mark.timeout(400)
def test_a_batch_beyond_the_bounds_is_refused_with_its_profile_and_taken_when_asked_to(
    sandbox: Servers, version: ModelVersion, spoiled: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds

    registry, client = Registry(sandbox.mlflow_tracking_uri), MlflowClient(sandbox.mlflow_tracking_uri)
    experiment = client.get_run(version.run_id).info.experiment_id

    assert run_job(sandbox, spoiled, tmp_path) == 1
    refused = Failure.read((tmp_path / "reason").read_text())
    assert refused.final
    assert refused.profile is not None
    assert [finding.what for finding in refused.profile.findings] == ["share of mileage missing"]
    assert refused.profile.missing["mileage"] == 1
    assert "share of mileage missing 1 (was 0.0" in refused.reason
    assert registry.trained_by("train-spoiled-1") is None
    run = client.get_run(str(refused.profile.run_id))
    assert (run.info.experiment_id, run.info.status) == (experiment, "FAILED")
    assert run.data.tags["pipelines.profile"] == "refused"
    assert run.data.metrics["profile.missing.mileage"] == 1
    assert "profile.json" in {file.path for file in client.list_artifacts(run.info.run_id)}

    quick = {"TRAINING_GRID": "1", "TRAINING_BOOSTING_ROUNDS": "20"}
    with start_job(sandbox, spoiled, 2, tmp_path, "--accept-profile=true", **quick) as job:
        assert job.wait(280) == 0
    accepted = registry.trained_by("train-spoiled-2")
    assert accepted is not None
    assert accepted.batches == ("trained", "spoiled")
    registered = client.get_model_version("used-car-price", str(accepted.version))
    assert registered.tags["pipelines.profile"] == "accepted by override"
    assert "accepted by override" in registered.description
