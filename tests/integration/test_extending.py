"""What ``docs/extending.md`` shows works as it stands there."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F

from control_plane import listing_files, storage
from control_plane.simulator.generator import generate
from spark_apps.listings.cleaning import clean_columns
from spark_apps.listings.quality import judged
from spark_apps.listings.reading import batch_parts, read_parts
from spark_apps.training.crossvalidation import cross_validate
from spark_apps.training.folds import prepare
from spark_apps.training.members import log_column
from spark_apps.training.settings import TrainingSettings
from tests.markdown import example

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from control_plane.settings import Servers

PAGE = "docs/extending.md"
CARS = example(PAGE, "cars.csv").text


@pytest.fixture(scope="module")
def delivered(sandbox: Servers, tmp_path_factory: pytest.TempPathFactory) -> Servers:
    """The page's batch, taken to HDFS by the page's commands."""
    folder = tmp_path_factory.mktemp("own-data")
    (folder / "cars.csv").write_text(CARS)
    for command in example(PAGE, "deliver.sh").commands:
        environment = os.environ | sandbox.environment()
        subprocess.run(["bash", "-euc", command], cwd=folder, env=environment, check=True)
    return sandbox


def test_ones_own_batch_arrives(delivered: Servers) -> None:
    [batch] = [one for one in storage.landed_batches(delivered.hdfs_url) if one.batch == "mine"]
    assert (batch.files, batch.bytes) == (1, len(CARS.encode()))


def test_ones_own_listings_are_read_as_the_page_says(delivered: Servers, spark: SparkSession) -> None:
    records = read_parts(spark, delivered.hdfs_root, batch_parts(delivered.hdfs_url, "mine"))
    read = records.selectExpr("model_name", *clean_columns(("mileage", "power_hp"))).collect()
    assert [tuple(row) for row in read] == [
        ("Civic", 31_000, 158),
        ("F-150", None, 375),
        ("Corolla", None, None),
        ("3 Series", 12_000, 255),
    ]
    verdicts = judged(records, price_min=500, price_max=250_000).select("model_name", "verdict").collect()
    assert {row["model_name"]: row["verdict"] for row in verdicts if row["verdict"]} == {
        "3 Series": "price_unreadable"
    }


def test_ones_own_listings_may_be_priced_from_the_same_file() -> None:
    assert len(listing_files.listings(CARS, "cars.csv")) == 4


@pytest.mark.timeout(300)
def test_ones_own_member_is_validated_and_serves_what_it_fitted(
    usable_rows: Callable[[Path], DataFrame], tmp_path: Path
) -> None:
    shown: dict[str, Any] = {}
    exec(compile(example(PAGE, "random_forest.py").text, PAGE, "exec"), shown)  # noqa: S102
    member = shown["RandomForestMember"](grid=({"trees": 3, "depth": 4},))

    [part] = generate(600, 8, tmp_path / "listings", parts=1).parts
    rows = usable_rows(part).withColumn("fold", F.pmod(F.xxhash64("car"), F.lit(2)).cast("int"))
    fold, *others = prepare(rows, rows.count(), TrainingSettings(folds=2, grid=1)).folds
    fit = member.fit(fold.train, fold.encoding, member.grid[0])
    column = log_column(member.name)
    own = [row[0] for row in fit.transform(fold.held_out).select(column).collect()]
    stages = PipelineModel(fit.stages((tmp_path / "scratch").as_uri()))
    stages.write().save((tmp_path / "model").as_uri())
    served = PipelineModel.load((tmp_path / "model").as_uri()).transform(fold.held_out)
    assert [row[0] for row in served.select(column).collect()] == own
    assert len(set(own)) > 10

    [validated] = cross_validate(rows.sparkSession, [member], [fold, *others], 1)
    assert validated.member.name == "random_forest"
    assert validated.best.params == member.grid[0]
