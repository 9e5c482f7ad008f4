"""Outcomes in windows: from ``outcomes`` to the error metrics in ``metrics``.

An outcome belongs to the window of its record's broker time. The same records always give the same bits,
whatever their order: every term of a sum is computed in double precision for its row alone, then cut into
three whole numbers, which are summed exactly. (Sums of doubles depend on the order in which tasks deliver;
sums of decimals do not, and took a third of all processor time.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.monitoring.joining import ANSWER, MAX_DOLLARS, MIN_DOLLARS, is_between, parsed, seconds

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

OUTCOME = f"{ANSWER}, actual DOUBLE, priced_at STRING"
STACK = "stack"

# A term is cut into multiples of these. It is at most 4e18 (the square of two billion dollars), so each part
# is below 2^40, and eight million of them fit into a sum.
_UNITS = (2.0**22, 2.0**-10, 2.0**-42)

_ISO = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"


def known_once(records: DataFrame, *, ticks: str, delay: float, replay: float) -> DataFrame:
    """Return the outcomes, each once, with a watermark that the ticks among them move on.

    Needs: value, topic, timestamp of ``outcomes`` and of the topic ``ticks``. Gives: outcome (struct as in
    the contract), recorded_at (the broker's time).

    A batch that is killed while it writes is written again as a whole, so an outcome has to be recognised
    for ``replay`` seconds, yet a window shall close ``delay`` seconds after its end. A query has one
    watermark and one delay, hence: the delay is ``replay``, and ticks are dated that much ahead that a tick
    at 12:00:00 moves the watermark to 12:00:00 - ``delay``. Outcomes by themselves close no window.
    """
    is_tick = F.col("topic") == ticks
    outcome = F.col("outcome")
    usable = (
        outcome["request_id"].isNotNull()
        & outcome["model_version"].isNotNull()
        & is_between("outcome.price", -MAX_DOLLARS, MAX_DOLLARS)
        & is_between("outcome.actual", MIN_DOLLARS, MAX_DOLLARS)
    )
    ahead = F.expr(f"INTERVAL {round((replay - delay) * 1000)} MILLISECONDS")
    return (
        records.select(
            is_tick.alias("is_tick"),
            parsed(OUTCOME).alias("outcome"),
            F.when(is_tick, F.col("timestamp") + ahead).otherwise(F.col("timestamp")).alias("recorded_at"),
        )
        .withWatermark("recorded_at", seconds(replay))
        # No filter is pushed below an observation: the ticks reach the watermark before they are dropped.
        .observe(
            "outcomes",
            F.count_if(~F.col("is_tick")).alias("read"),
            F.count_if(~F.col("is_tick") & ~usable).alias("unusable"),
        )
        .where(~F.col("is_tick") & usable)
        .select("outcome", "recorded_at", outcome["request_id"].alias("request_id"))
        .dropDuplicatesWithinWatermark(["request_id"])
        .drop("request_id")
    )


def by_model(outcomes: DataFrame) -> DataFrame:
    """Give each outcome a row for the stack and for every member that predicted.

    Needs: outcome, recorded_at. Gives: recorded_at, model_version, model, predicted, actual (US dollars),
    covered (whether the interval holds the actual price; null for members and without an interval).
    """
    outcome = F.col("outcome")
    stack = F.struct(
        F.lit(STACK).alias("model"),
        outcome["price"].alias("predicted"),
        outcome["actual"].between(outcome["low"], outcome["high"]).alias("covered"),
    )
    members = F.transform(
        F.map_entries(F.coalesce(outcome["members"], F.create_map().cast("map<string,double>"))),
        lambda member: F.struct(
            member["key"].alias("model"),
            member["value"].alias("predicted"),
            F.lit(None).cast("boolean").alias("covered"),
        ),
    )
    return (
        outcomes.withColumn("prediction", F.explode(F.concat(F.array(stack), members)))
        .select(
            "recorded_at",
            outcome["model_version"].alias("model_version"),
            "prediction.*",
            outcome["actual"].alias("actual"),
        )
        .where(is_between("predicted", -MAX_DOLLARS, MAX_DOLLARS))
    )


def total(term: Column) -> Column:
    """Return the sum of a column of doubles: the same bits in whatever order. Terms are below 4e18.

    It is exact to 2^-42 a term (2e-13); null when all terms are, or when a sum of their parts overflows.
    """
    sums, rest = [], term
    for unit in map(F.lit, _UNITS):
        part = (rest / unit).cast("bigint")  # cut towards zero
        sums.append(F.try_sum(part).cast("double") * unit)
        rest = rest - part.cast("double") * unit  # exact: what is left has fewer bits than there were
    return sums[0] + sums[1] + sums[2]


def error_windows(predictions: DataFrame, window: float, step: float) -> DataFrame:
    """Aggregate errors by window, model version and model; one of ``window`` seconds begins every ``step``.

    Needs: recorded_at, model_version, model, predicted, actual, covered. Gives: window, model_version, model,
    count, rmse, mae, bias (mean of predicted - actual), all in US dollars, mape (a fraction of the actual
    price), r2 (1 - SSE/SST; null when all actual prices are equal) and coverage (the share of intervals
    that hold the actual price; null where there are none).
    """
    error = F.col("predicted") - F.col("actual")
    count = F.count(F.lit(1))
    squared = total(error * error)
    summed, summed_squares = total(F.col("actual")), total(F.col("actual") * F.col("actual"))
    spread = summed_squares - summed * summed / count
    differ = F.min("actual") < F.max("actual")
    return predictions.groupBy(
        F.window("recorded_at", seconds(window), seconds(step)).alias("window"), "model_version", "model"
    ).agg(
        count.alias("count"),
        F.sqrt(squared / count).alias("rmse"),
        (total(F.abs(error)) / count).alias("mae"),
        (total(F.abs(error) / F.col("actual")) / count).alias("mape"),
        (total(error) / count).alias("bias"),
        F.when(differ & (spread > 0), 1 - squared / spread).alias("r2"),
        F.when(F.count("covered") > 0, F.count_if("covered") / F.count("covered")).alias("coverage"),
    )


def as_records(windows: DataFrame) -> DataFrame:
    """Return the windows as flat JSON records for ``metrics``: key, value.

    The same window of the same model always has the same key.
    """
    flat = windows.select(
        F.lit("error").alias("kind"),
        F.date_format("window.start", _ISO).alias("window_start"),
        F.date_format("window.end", _ISO).alias("window_end"),
        "model_version",
        "model",
        *("count", "rmse", "mae", "mape", "bias", "r2", "coverage"),
    )
    key = F.concat_ws("/", "kind", "window_start", "window_end", "model_version", "model")
    return flat.select(
        key.alias("key"), F.to_json(F.struct("*"), {"ignoreNullFields": "false"}).alias("value")
    )
