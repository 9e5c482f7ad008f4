"""Explanations of real models, held against XGBoost's own and against what serving answers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyspark import SparkContext
from pyspark.ml import PipelineModel
from pyspark.sql import functions as F

from control_plane.simulator.generator import generate
from spark_apps.explaining import parts
from spark_apps.explaining.errors import ExplanationError, ListingError
from spark_apps.explaining.explainer import Explainer
from spark_apps.explaining.saved import stages
from spark_apps.explaining.tree_shap import Forest, Nodes
from spark_apps.jvm import floats, jvm
from spark_apps.listings.samples import LISTING
from spark_apps.listings.schema import RAW_COLUMNS, with_raw_columns
from spark_apps.serving.answers import answers
from spark_apps.serving.model import Fetched
from spark_apps.serving.requests import requests
from spark_apps.training import background
from spark_apps.training.boosting import XGBoostFit
from spark_apps.training.folds import prepare
from spark_apps.training.intervals import Intervals
from spark_apps.training.members import SparkBoostingMember, XGBoostMember, log_column, members
from spark_apps.training.model import pricing_model
from spark_apps.training.preparation import FEATURES, TREE_FEATURES, raw_stages
from spark_apps.training.settings import TrainingSettings
from spark_apps.training.stacking import Stack
from spark_apps.training.trees import node_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

SMALL = TrainingSettings(folds=2, grid=1)
WEIGHTS = (0.6, 0.1, 0.25)


@pytest.fixture(scope="module", autouse=True)
def _plans_are_not_compiled(spark: SparkSession) -> Iterator[None]:
    """As in the process that explains: compiling what runs once takes longer than running it."""
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


@pytest.fixture(scope="module")
def rows(usable_rows: Callable[[Path], DataFrame], tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """Generated listings as a training sees them."""
    [part] = generate(1_200, 5, tmp_path_factory.mktemp("listings"), parts=1).parts
    fold = F.expr("CAST(pmod(xxhash64(car, 'fold'), 2) AS INT)")
    return usable_rows(part).withColumn("fold", fold).localCheckpoint()


@dataclass(frozen=True)
class Fitted:
    """A model, the position of the stage that makes prices, and the folder that it is saved in."""

    model: PipelineModel
    prices_at: int
    folder: Path

    def explainer(self, spark: SparkSession) -> Explainer:
        return Explainer(spark, Fetched(7, str(self.folder)), max_bytes=65_536)


@pytest.fixture(scope="module")
def fitted(rows: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A model whose stack takes a bit of every member, and adds dollars of its own."""
    folder = tmp_path_factory.mktemp("model")
    prepared = prepare(rows, rows.count(), SMALL)
    whole = prepared.whole()
    fits = {
        member.name: member.fit(whole.rows, whole.encoding, {**member.grid[0], "rounds": 40.0})
        for member in members(SMALL, partitions=1)
    }
    by_member = {name: fit.stages((folder / "scratch").as_uri()) for name, fit in fits.items()}
    before = raw_stages(prepared.facts, whole.encoding)
    model = pricing_model(
        before,
        by_member,
        Stack(tuple(fits), WEIGHTS, 300.0),
        Intervals((), (-0.2,), (0.25,)),
        prepared.within,
    )
    save(model, background.background(whole.rows), folder / "sparkml")
    return Fitted(model, len(before) + sum(map(len, by_member.values())), folder / "sparkml")


def save(model: PipelineModel, means: background.Means, folder: Path) -> None:
    model.save(folder.as_uri())
    background.write(means, folder)


def served(spark: SparkSession, model: Any, listing: str) -> dict[str, Any]:
    """What serving answers, by its own functions."""
    record = f'{{"kind": "request", "request_id": "r-1", "listing": {listing}}}'
    schema = "key binary, value binary, partition int, offset long, timestamp timestamp"
    asked = requests(spark.createDataFrame([(None, record.encode(), 0, 0, None)], schema), max_bytes=65_536)
    [row] = answers(model.transform(asked), epoch=F.lit(1), model_version=7).collect()
    return json.loads(row["value"])


@pytest.mark.timeout(400)
def test_the_price_is_what_serving_answers_and_what_moved_it_adds_up_to_it(
    spark: SparkSession, fitted: Fitted
) -> None:
    explainer = fitted.explainer(spark)
    model = Fetched(7, str(fitted.folder)).load(spark)
    few = {"make_name": "Honda", "model_name": "Civic", "year": 2017, "mileage": 31000, "is_new": True}
    for listing in (LISTING, few | {"mileage": "about 20,000", "model_name": "never seen"}):
        found = explainer.explain(json.dumps(listing))
        answer = served(spark, model, json.dumps(listing))

        assert (found.price, found.low, found.high) == (answer["price"], answer["low"], answer["high"])
        assert (found.members, found.remark) == (answer["members"], answer["reason"])
        assert found.model_version == 7
        assert tuple(found.weights.values()) == WEIGHTS
        dollars = [moved.dollars for moved in found.attributes]
        assert found.base + math.fsum(dollars) == pytest.approx(found.price, abs=0.006)
        assert dollars == sorted(dollars, key=abs, reverse=True)
        factor = math.prod(1 + moved.percent / 100 for moved in found.attributes if moved.percent)
        assert factor == pytest.approx(found.price / found.base, rel=1e-5)
        values = {moved.attribute: moved.value for moved in found.attributes}
        assert values["mileage"] == str(listing["mileage"])
        assert set(values) <= {*RAW_COLUMNS, "variant"}


@pytest.mark.timeout(400)
def test_a_high_mileage_lowers_the_price_and_a_listing_without_a_year_gets_none(
    spark: SparkSession, fitted: Fitted
) -> None:
    explainer = fitted.explainer(spark)

    def dollars(mileage: str) -> float:
        found = explainer.explain(json.dumps(LISTING | {"mileage": mileage}))
        return next(moved.dollars for moved in found.attributes if moved.attribute == "mileage")

    assert dollars("200000") < 0 < dollars("50")
    with pytest.raises(ListingError, match="required columns missing: year"):
        explainer.explain(json.dumps(LISTING | {"year": "--"}))
    with pytest.raises(ListingError, match="not JSON"):
        explainer.explain("{'a'}")


@pytest.mark.timeout(400)
def test_the_bases_are_the_mean_answers_on_the_training_rows(
    spark: SparkSession, rows: DataFrame, fitted: Fitted
) -> None:
    """A plane's to the last digit; trees count a row by its weight and see only a sample of rows."""
    found = parts.read(stages(fitted.folder), background.read(fitted.folder) or {})
    df = with_raw_columns(rows)
    for stage in fitted.model.stages[: fitted.prices_at]:
        df = stage.transform(df)
    means = df.agg(*(F.avg(log_column(name)).alias(name) for name in found.members)).first()

    for name in ("linear_svm", "linear_regression"):
        [plane] = found.members[name]
        assert plane.base == pytest.approx(means[name], abs=1e-9)
    boosting = math.fsum(part.base for part in found.members["gradient_boosting"])
    assert boosting == pytest.approx(means["gradient_boosting"], abs=0.02)


@pytest.mark.timeout(400)
def test_trees_are_explained_as_xgboost_explains_them(spark: SparkSession, rows: DataFrame) -> None:
    fold = prepare(rows, rows.count(), SMALL).folds[0]
    fit = (
        XGBoostMember(60, 80_000, rows_at_most=10_000)
        .fit(fold.train, fold.encoding, {"leaves": 64, "learning_rate": 0.1, "l2": 2.0})
        .trees
    )
    assert isinstance(fit, XGBoostFit)
    held_out = fold.held_out.select(FEATURES).limit(200).collect()
    asked = np.array([row[0].toArray()[: len(TREE_FEATURES)] for row in held_out])

    theirs = xgboost_contributions(fit, asked)
    trees = fit.trees()
    forest = Forest(Nodes.of(node_table(trees), np.ones(len(trees))), asked.shape[1])
    ours = np.array([[*forest.contributions(row), forest.expectation] for row in asked])

    assert np.abs(theirs[:, :-1]).max() > 0.02, "contributions that tell listings apart"
    assert np.abs(ours - theirs).max() < 1e-6  # theirs are float32


def xgboost_contributions(fit: XGBoostFit, asked: np.ndarray) -> np.ndarray:
    """What XGBoost itself says: a contribution for each feature, and the expectation."""
    gateway: Any = SparkContext._gateway
    flat = gateway.new_array(jvm().float, asked.size)
    for position, value in enumerate(asked.ravel().tolist()):
        flat[position] = value
    matrix = jvm().ml.dmlc.xgboost4j.scala.DMatrix(flat, *asked.shape, float("nan"))
    found = fit.model.nativeBooster().predictContrib(matrix, 0)
    return np.array([floats(row) for row in found])


@pytest.mark.timeout(400)
def test_spark_s_own_boosting_adds_up_too_whose_trees_have_weights(
    spark: SparkSession, rows: DataFrame, tmp_path: Path
) -> None:
    fold = prepare(rows, rows.count(), SMALL).folds[0]
    fit = SparkBoostingMember().fit(fold.train, fold.encoding, {"depth": 4, "rounds": 5})
    model, folder = PipelineModel(fit.stages((tmp_path / "scratch").as_uri())), tmp_path / "model"
    save(model, background.background(fold.train), folder)

    found = parts.read(stages(folder), background.read(folder) or {}).members["gradient_boosting"]

    for row in model.transform(fold.held_out).limit(20).collect():
        moved = [part.contributions(row[part.features].toArray()) for part in found]
        total = math.fsum(part.base for part in found) + sum(one.sum() for one in moved)
        assert total == pytest.approx(row[log_column("gradient_boosting")], abs=1e-9)
        assert np.abs(moved[1]).max() > 1e-3, "trees that say something"


def test_a_model_without_means_is_refused_with_the_remedy(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ExplanationError, match="model version 3 was registered by an earlier release"):
        Explainer(spark, Fetched(3, str(tmp_path)), max_bytes=1_000)
