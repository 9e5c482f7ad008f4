"""The members of the ensemble, held against other libraries, against chance and against what serves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.ml.linalg import DenseVector, SparseVector, Vectors
from pyspark.sql import functions as F
from sklearn import svm

from control_plane.simulator.generator import generate
from spark_apps.listings.facts import Facts
from spark_apps.listings.features import (
    NUMBERS,
    Kept,
    cleaned,
    feature_columns,
    fit_labels,
    kept_labels,
    label_counts,
)
from spark_apps.training.crossvalidation import cross_validate
from spark_apps.training.embedding import embed, one_hot_widths, slope_widths
from spark_apps.training.folds import prepare
from spark_apps.training.members import (
    LOG_LABEL,
    STOPPING,
    LinearRegressionMember,
    LinearSVMMember,
    XGBoostMember,
    at_most,
    log_column,
    members,
    price_sql,
)
from spark_apps.training.preparation import (
    FEATURES,
    Encoding,
    encode,
    raw_stages,
    vector_stages,
)
from spark_apps.training.settings import TrainingSettings
from spark_apps.training.shrinkage import NormalEquations
from spark_apps.training.svm import LinearSVR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import Column, DataFrame, SparkSession

    from spark_apps.training.members import Member

MEMBERS = ("gradient_boosting", "linear_svm", "linear_regression")


class Listings(Protocol):
    """What makes listings as a training sees them."""

    def __call__(self, rows: int, seed: int) -> DataFrame: ...


@pytest.fixture(scope="module")
def usable(usable_rows: Callable[[Path], DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Listings:
    """Generated listings."""

    def make(rows: int, seed: int) -> DataFrame:
        [part] = generate(rows, seed, tmp_path_factory.mktemp("listings"), parts=1).parts
        return usable_rows(part)

    return make


class TestServedBoosting:
    """What Spark's own trees say of a listing is what XGBoost says of it."""

    @pytest.mark.timeout(300)
    def test_both_give_the_same_price_on_each_of_100_000_listings(
        self, usable: Listings, tmp_path: Path
    ) -> None:
        listings = usable(100_500, 21).limit(100_000)
        rows = cleaned(listings).selectExpr("label", "xxhash64(car) AS key", *feature_columns(Facts(2020.7)))
        few = rows.where("key % 20 = 0").withColumn("part", F.lit(0))
        kept = kept_labels(categories=Kept(3, 200), models=Kept(1, 200), variants=Kept(2, 20_000))
        counts = {(column, text): n for (_, column, text), n in label_counts(few, "part", kept).items()}
        labels = fit_labels(counts, kept)
        rows = rows.withColumns({LOG_LABEL: F.log("label"), STOPPING: F.expr("key % 200 = 0")})
        encoding = encode(rows.where("key % 20 = 0"), labels, LOG_LABEL)
        for stage in vector_stages(encoding):
            rows = stage.transform(rows)
        needed = ("label", LOG_LABEL, STOPPING, "key", FEATURES)
        rows = rows.select(*needed).repartition(1).localCheckpoint()

        settings = TrainingSettings()
        member = XGBoostMember(settings.boosting_rounds, settings.boosting_nodes, settings.boosting_rows)
        stopped = {"leaves": 64, "learning_rate": 0.05, "l2": 2.0}
        for number, params in enumerate((stopped, stopped | {"rounds": 300})):
            fit = member.fit(rows.where("key % 20 = 0"), encoding, params)
            served = PipelineModel(fit.stages((tmp_path / f"model-{number}").as_uri()))
            own, again = (
                F.expr(price_sql(member.name, (500.0, 250_000.0))).alias(name) for name in ("own", "served")
            )
            in_training = fit.transform(rows).select("key", own)
            both = in_training.join(served.transform(rows).select("key", again), "key").toPandas()
            apart = (both["own"] - both["served"]).abs()
            assert fit.chosen()["rounds"] >= params.get("rounds", 50)
            assert len(both) == 100_000
            assert both["own"].nunique() > 50_000, "prices that tell listings apart"
            assert (apart > np.maximum(0.05, 3e-6 * both["own"])).sum() == 0, apart.max()


def test_no_price_is_beyond_those_trained_on(spark: SparkSession) -> None:
    asked = spark.createDataFrame([(-50.0,), (0.0,), (9.9,), (13.1,), (900.0,)], [log_column("any")])
    prices = [row[0] for row in asked.selectExpr(price_sql("any", (700.0, 230_000.0))).collect()]
    assert prices == pytest.approx([700.0, 700.0, np.exp(9.9), 230_000.0, 230_000.0])


@pytest.mark.timeout(300)
def test_trees_get_a_dense_vector_of_a_listing_with_little_in_it(spark: SparkSession) -> None:
    from spark_apps.listings.schema import with_raw_columns  # noqa: PLC0415

    asked = spark.createDataFrame([("Honda", "Civic")], "make_name string, model_name string")
    rule = Kept(1, 1)
    labels = fit_labels({}, kept_labels(categories=rule, models=rule, variants=rule))
    none = np.zeros(len(NUMBERS) + sum(one_hot_widths(labels)) + sum(slope_widths(labels)))
    embedding = embed(labels, NormalEquations(np.diag(none), none, none, 0.0, 0.0, 0.0))
    encoding = Encoding(labels, embedding)
    row = PipelineModel(raw_stages(Facts(2020.7), encoding)).transform(with_raw_columns(asked)).first()

    assert isinstance(row[FEATURES], DenseVector)
    assert isinstance(row["feature_values"], SparseVector), "else the test says nothing"
    assert row[FEATURES].toArray().tolist() == row["feature_values"].toArray().tolist()


@pytest.mark.timeout(300)
def test_spark_s_own_boosting_can_be_chosen_and_serves_what_it_fitted(
    usable: Listings, tmp_path: Path
) -> None:
    rows = usable(600, 8).withColumn("fold", _third("car"))
    settings = TrainingSettings(folds=3, grid=1, boosting="spark")
    fold, *others = prepare(rows, rows.count(), settings).folds
    member = next(one for one in members(settings, partitions=1) if one.name == "gradient_boosting")

    params = {"depth": 3, "rounds": 5}
    fit = member.fit(fold.train, fold.encoding, params)
    column = log_column(member.name)
    own = [row[0] for row in fit.transform(fold.held_out).select(column).collect()]
    served = PipelineModel(fit.stages((tmp_path / "model").as_uri())).transform(fold.held_out)
    again = [row[0] for row in served.select(column).collect()]

    fold.release()
    cached = rows.sparkSession.sparkContext._jsc.getPersistentRDDs().size()
    [validated] = cross_validate(rows.sparkSession, [replace(member, grid=(params,))], [fold, *others], 1)

    assert fit.chosen() == {"rounds": 5.0}
    assert validated.best.final_params() == params, "its rounds are told, and not chosen"
    assert again == own
    assert rows.sparkSession.sparkContext._jsc.getPersistentRDDs().size() <= cached, "vectors are released"
    assert len(set(own)) > 50


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "member", [LinearRegressionMember(), LinearSVMMember(1_000)], ids=lambda one: one.name
)
def test_a_column_that_is_constant_but_for_rounding_says_nothing(spark: SparkSession, member: Member) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(1_000, 2))
    noise = 1e-17 * random.normal(size=(1_000, 2))
    said = np.column_stack([x, 1e-9 + noise[:, 0], 0.01 + noise[:, 1], np.full(1_000, 3.2188758)])
    log = x @ [0.1, 0.2] + 10
    rows = spark.createDataFrame(
        [(Vectors.dense(one), float(at), float(np.exp(at))) for one, at in zip(said, log, strict=True)],
        [FEATURES, LOG_LABEL, "label"],
    )
    fit = member.fit(rows, None, member.grid[0])  # type: ignore[arg-type] # it needs no encoding
    elsewhere = spark.createDataFrame([(Vectors.dense([0.0, 0.0, 0.0, 7.0, -2.0]),)], [FEATURES])
    assert fit.transform(elsewhere).first()[log_column(member.name)] == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize(("most", "found"), [(20_000, (20_000, 20_000)), (2_000, (1_800, 2_200))])
def test_of_many_rows_the_same_ones_are_taken(spark: SparkSession, most: int, found: tuple[int, int]) -> None:
    rows = spark.range(20_000).select(F.xxhash64("id").alias("row"))
    taken, again = (
        {one["row"] for one in at_most(most, given).collect()} for given in (rows, rows.repartition(3))
    )
    assert found[0] <= len(taken) <= found[1]
    assert again == taken


def test_the_svm_is_fitted_on_no_more_rows_than_it_may(spark: SparkSession) -> None:
    numbers = spark.range(2_000).select(F.xxhash64("id").alias("row"))
    fitted_on = {one["row"] for one in at_most(500, numbers).collect()}
    x = np.random.default_rng(0).normal(size=2_000)
    rows = spark.createDataFrame(
        [
            (one["row"], Vectors.dense([at]), float(0.2 * at + (10 if one["row"] in fitted_on else 13)))
            for one, at in zip(numbers.collect(), x, strict=True)
        ],
        ["row", FEATURES, LOG_LABEL],
    )
    member = LinearSVMMember(500)
    cached = spark.sparkContext._jsc.getPersistentRDDs().size()
    fit = member.fit(rows, None, member.grid[0])  # type: ignore[arg-type] # it needs no encoding
    assert spark.sparkContext._jsc.getPersistentRDDs().size() <= cached, "the sample is released"
    elsewhere = spark.createDataFrame([(Vectors.dense([0.0]),)], [FEATURES])
    assert fit.transform(elsewhere).first()[log_column(member.name)] == pytest.approx(10, abs=0.05)


@pytest.mark.timeout(300)
def test_trees_are_fitted_on_no_more_rows_than_they_may(usable: Listings) -> None:
    rows = usable(1_200, 8).withColumn("fold", _third("car"))
    fold, *_ = prepare(rows, rows.count(), TrainingSettings(folds=3)).folds
    few, all_of_them = (XGBoostMember(20, 10_000, rows_at_most=most) for most in (300, 10_000))

    def says(member: XGBoostMember, train: DataFrame) -> list[float]:
        fit = member.fit(train, fold.encoding, {"leaves": 8, "learning_rate": 0.3, "l2": 2.0, "rounds": 20})
        return [row[0] for row in fit.transform(fold.held_out).select(log_column(member.name)).collect()]

    of_few = says(few, fold.train)
    assert of_few == says(all_of_them, at_most(300, fold.train))
    assert of_few != says(all_of_them, fold.train)
    fold.release()


def points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, their targets with heavy tails and some gross errors, and the true plane's slopes."""
    random = np.random.default_rng(3)
    slopes = random.normal(size=8)
    x = random.normal(size=(5_000, 8))
    target = x @ slopes + 4 + 0.3 * random.standard_t(2, size=5_000)
    target[::50] += 40
    return x, target, slopes


class TestLinearSVR:
    """Spark's classifier as a regression is as good a one as scikit-learn's, and is kept like any."""

    @pytest.mark.timeout(200)
    def test_it_finds_the_plane_as_well_as_scikit_learn(self, spark: SparkSession) -> None:
        x, y, slopes = points()
        rows = spark.createDataFrame(
            [(Vectors.dense(one), float(target)) for one, target in zip(x, y, strict=True)],
            ["features", "label"],
        )
        ours = LinearSVR(epsilon=0.1, regParam=1e-4, maxIter=50).fit(rows)
        theirs = svm.LinearSVR(epsilon=0.1 * y.std(), C=1.0, max_iter=10_000, random_state=0).fit(x, y)

        def off(coefficients: np.ndarray, intercept: float) -> float:
            return float(np.hypot(np.linalg.norm(coefficients - slopes), intercept - 4))

        our_error = off(ours.coefficients.toArray(), ours.intercept)
        assert our_error < max(0.05, 1.2 * off(theirs.coef_, float(theirs.intercept_[0])))
        said = np.array([row["prediction"] for row in ours.transform(rows).select("prediction").collect()])
        assert np.corrcoef(said, theirs.predict(x))[0, 1] > 0.999

    @pytest.mark.usefixtures("spark")
    def test_it_is_kept_and_read_back_with_its_parameters(self, tmp_path: Path) -> None:
        path = (tmp_path / "svr").as_uri()
        LinearSVR(epsilon=0.25, regParam=0.01, maxIter=7, labelCol="price").write().save(path)
        back = LinearSVR.load(path)
        assert back.getOrDefault(back.epsilon) == 0.25
        assert (back.getRegParam(), back.getMaxIter(), back.getLabelCol()) == (0.01, 7, "price")


@pytest.fixture(scope="module")
def dealt(spark: SparkSession, usable: Listings) -> DataFrame:
    """Each car listed twice, with a price that is another car's."""
    cars = usable(1_200, 4).toPandas()
    cars["label"] = np.random.default_rng(0).permutation(cars["label"].to_numpy())
    twice = spark.createDataFrame(cars).crossJoin(spark.range(2).withColumnRenamed("id", "copy"))
    return twice.localCheckpoint()


class TestNoLeaks:
    """With prices dealt out at random nothing can be learnt: who does better than chance has peeked."""

    @staticmethod
    def against_the_median(rows: DataFrame) -> dict[str, float]:
        """Return each member's mean absolute error on rows held out, in those of the rows' median."""
        settings = TrainingSettings(folds=3, grid=1, boosting_rounds=60)
        folds = prepare(rows, rows.count(), settings).folds
        validated = cross_validate(rows.sparkSession, members(settings, partitions=1), folds, threads=2)
        prices = rows.select("label").toPandas()["label"]
        of_the_median = (prices - prices.median()).abs().mean()
        return {one.member.name: one.best.errors.mae / of_the_median for one in validated}

    @pytest.mark.timeout(300)
    def test_no_member_beats_the_median(self, dealt: DataFrame) -> None:
        found = self.against_the_median(dealt.withColumn("fold", _third("car")))
        assert set(found) == set(MEMBERS)
        assert min(found.values()) > 0.99, found

    @pytest.mark.timeout(300)
    def test_the_same_car_on_both_sides_would_show(self, dealt: DataFrame) -> None:
        found = self.against_the_median(dealt.withColumn("fold", _third("concat(car, copy)")))
        assert found["gradient_boosting"] < 0.9, "else the test above could not fail"


def _third(of: str) -> Column:
    return F.expr(f"CAST(pmod(xxhash64({of}, 'fold'), 3) AS INT)")
