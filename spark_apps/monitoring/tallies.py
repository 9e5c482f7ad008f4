"""Values of a window in the bins of each version's reference: DataFrames in, counts out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.drift import inputs
from spark_apps.drift.reference import INTERVAL_WIDTH, PREDICTION
from spark_apps.monitoring.joining import ANSWER, MAX_DOLLARS, is_between, parsed
from spark_apps.monitoring.windows import total
from spark_apps.serving.requests import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import Column, DataFrame

    from spark_apps.drift.reference import Bins, Reference

    References = Mapping[int, Reference]


def answers(predictions: DataFrame) -> DataFrame:
    """Return what is watched of the answers, each request's first.

    Needs: value, offset of ``predictions``. Gives: model_version, and in US dollars prediction and
    interval_width (null where there is no interval).
    """
    answer, width = F.col("answer"), F.col("answer.high") - F.col("answer.low")
    read = predictions.select("offset", parsed(ANSWER).alias("answer"))
    return (
        read.groupBy(answer["partition"].alias("at_partition"), answer["offset"].alias("at_offset"))
        .agg(F.min_by("answer", "offset").alias("answer"))
        # Of what was aggregated: a filter on the keys would be pushed below, and parse a second time.
        .where(answer["partition"].isNotNull() & answer["offset"].isNotNull())
        .where((answer["status"] == "predicted") & (answer["model_version"] >= 1))
        .where(is_between("answer.price", -MAX_DOLLARS, MAX_DOLLARS))
        .select(
            answer["model_version"].alias("model_version"),
            answer["price"].alias(PREDICTION),
            F.when(width.between(0, MAX_DOLLARS), width).alias(INTERVAL_WIDTH),
        )
    )


def of_answers(answered: DataFrame, references: References) -> DataFrame:
    """Count prices and widths of intervals by model_version, feature and bin. Needs what `answers` gives."""
    bins = {version: reference.outputs for version, reference in references.items()}
    return _tallies(answered, bins, lambda version: F.col("model_version") == version)


def of_requests(listings: DataFrame, references: References, max_bytes: int) -> DataFrame:
    """Count the inputs of all requests that get a price, by model_version, feature and bin.

    A request is held against every version: which of them answered it is not looked up. Needs: the columns
    of Spark's Kafka source.
    """
    bins: dict[int, Mapping[str, Bins]] = {
        version: {**reference.numbers, **reference.categories} for version, reference in references.items()
    }
    asked = requests(listings, max_bytes=max_bytes).withColumn("rejection", F.col("request.rejection"))
    values = asked.transform(inputs.values, "rejection")
    return _tallies(values, bins, lambda _: F.col("rejection").isNull())


def _tallies(
    values: DataFrame, bins: Mapping[int, Mapping[str, Bins]], counts: Callable[[int], Column]
) -> DataFrame:
    # No filter stands above the parser of requests: it would be pushed below, and parse a second time.
    places = [
        F.when(
            counts(version),
            F.struct(
                F.lit(version).alias("model_version"),
                F.lit(feature).alias("feature"),
                inputs.bin_of(feature, one).alias("bin"),
            ),
        )
        for version, features in bins.items()
        for feature, one in features.items()
    ]
    return (
        values.select(F.explode(F.array(*places)).alias("place"))
        .where("place IS NOT NULL")
        .select("place.*")
        .groupBy("model_version", "feature", "bin")
        .count()
    )


def estimates(answered: DataFrame, references: References) -> DataFrame:
    """Estimate the errors of answers from the widths of their intervals, by model_version.

    Needs what `answers` gives. Gives: count (of the answers with an interval), and in US dollars half_width
    (their mean), mae and rmse. An answer is expected to err as such cars did out of fold: of the band of its
    half width h, by h times that band's shares a and b, so MAE = mean(h a) and RMSE = sqrt(mean((h b)^2)).
    That a price of the same mix of cars has moved is not seen: nothing here knows a real price.
    """
    half, version = F.col(INTERVAL_WIDTH) / 2, F.col("model_version")
    mae, rmse = (
        F.coalesce(
            *(
                F.when(version == number, F.expr(inputs.steps("half", one.edges, getattr(one, name))))
                for number, one in ((number, reference.errors) for number, reference in references.items())
            )
        )
        for name in ("mae", "rmse")
    )
    count = F.count(F.lit(1))
    squared = F.col("half") * rmse * F.col("half") * rmse
    return (
        answered.withColumn("half", half)
        .where(F.col("half").isNotNull() & version.isin(list(references)))
        .groupBy("model_version")
        .agg(
            count.alias("count"),
            (total(F.col("half")) / count).alias("half_width"),
            (total(F.col("half") * mae) / count).alias("mae"),
            F.sqrt(total(squared) / count).alias("rmse"),
        )
    )
