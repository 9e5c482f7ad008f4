"""Answers meet prices: from ``predictions`` and ``listings`` to ``outcomes``.

What counts, in words:

- An answer counts when it is the first for its request's (partition, offset): the reader's rule. Of several
  requests with one id, the first that got a price predicted counts.
- A price counts when it is well-formed (serving tells prices from requests by the same rule), between a
  cent and a billion dollars, and the first such for its request id.
- The two meet when the price came at most ``price_horizon`` after its answer, or at most ``price_lead``
  before it, by the broker's clock. Which of them this application reads first does not matter.

"First" is by order in the topic. It survives one shuffle, because what belongs together is in one partition
(a key's records are, and an answer is written to its request's partition), is therefore read by one task,
and a task writes to a shuffle in the order in which it reads. It does not survive a second shuffle, hence
the sort before the second choice among the answers.

The watermark here only says when to forget. Its delay is as long as a price may be away from its answer, so
whatever may still meet is remembered, no record of the last ``price_horizon`` is ever late, and nothing has
to move it on while no records come: state does not grow then either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.serving import requests

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_DOLLARS = 1e9
MIN_DOLLARS = 0.01

ANSWER = """
    request_id STRING, status STRING, price DOUBLE, low DOUBLE, high DOUBLE, members MAP<STRING, DOUBLE>,
    model_version BIGINT, reason STRING, partition INT, offset BIGINT, epoch BIGINT, requested_at STRING
"""
PRICE = "kind STRING, request_id STRING, price DOUBLE, priced_at STRING"


def seconds(duration: float) -> str:
    """Return a duration as Spark reads it."""
    return f"{round(duration * 1000)} milliseconds"


def parsed(schema: str) -> Column:
    """Return the record's JSON value by ``schema``; null in whole or in part where it cannot be read."""
    return F.from_json(F.col("value").cast("string"), schema)


def is_between(column: str, low: float, high: float) -> Column:
    """Return whether a number lies between two; NaN, infinity and null do not."""
    return F.coalesce(F.col(column).between(low, high), F.lit(False))


def answers(predictions: DataFrame, remembered: float) -> DataFrame:
    """Return the answers that count, each once.

    Needs: value, timestamp of ``predictions``. Gives: answer (struct as in the contract), answered_at
    (the broker's time), request_id. ``remembered`` is in seconds.
    """
    answer = F.col("answer")
    placed = answer["partition"].isNotNull() & answer["offset"].isNotNull()
    predicted = F.coalesce(answer["status"] == "predicted", F.lit(False))
    usable = (
        answer["request_id"].isNotNull()
        & answer["model_version"].isNotNull()
        & is_between("answer.price", -MAX_DOLLARS, MAX_DOLLARS)
    )
    return (
        predictions.select(parsed(ANSWER).alias("answer"), F.col("timestamp").alias("answered_at"))
        .withWatermark("answered_at", seconds(remembered))
        .observe(
            "answers",
            F.count(F.lit(1)).alias("read"),
            F.count_if(~placed | (predicted & ~usable)).alias("unusable"),
        )
        .where(placed)
        .withColumns({"at_partition": answer["partition"], "at_offset": answer["offset"]})
        .dropDuplicatesWithinWatermark(["at_partition", "at_offset"])
        .where(predicted & usable)
        .select("answer", "answered_at", answer["request_id"].alias("request_id"))
        .repartition("request_id")
        .sortWithinPartitions("answer.partition", "answer.offset")
        .dropDuplicatesWithinWatermark(["request_id"])
    )


def prices(listings: DataFrame, remembered: float) -> DataFrame:
    """Return the prices that count, each once.

    Needs: value, timestamp of ``listings``, requests included: they move the watermark on. Gives: priced_id
    (the request id), actual (US dollars), priced_at (text, the manager's), came_at (the broker's time).
    """
    price = F.col("price")
    usable = is_between("price.price", MIN_DOLLARS, MAX_DOLLARS)
    all_records = listings.withWatermark("timestamp", seconds(remembered)).observe(
        "listings", F.count(F.lit(1)).alias("read")
    )
    return (
        # No filter is pushed below an observation: requests reach the watermark before they are dropped.
        requests.prices(all_records)
        .select(parsed(PRICE).alias("price"), F.col("timestamp").alias("came_at"))
        .observe("prices", F.count(F.lit(1)).alias("read"), F.count_if(~usable).alias("unusable"))
        .where(usable)
        .select(
            price["request_id"].alias("priced_id"),
            price["price"].alias("actual"),
            price["priced_at"].alias("priced_at"),
            "came_at",
        )
        .dropDuplicatesWithinWatermark(["priced_id"])
    )


def outcomes(predictions: DataFrame, listings: DataFrame, *, horizon: float, lead: float) -> DataFrame:
    """Join the answers with the prices that came ``lead`` seconds before them to ``horizon`` after.

    Needs: value, timestamp of both topics. Gives: key (the request id) and value (JSON) of ``outcomes``.
    """
    # A request id is new again only when neither its answer nor its price can meet anything any more.
    remembered = horizon + lead
    met = answers(predictions, remembered).join(
        prices(listings, remembered),
        F.expr(
            f"""request_id = priced_id
            AND came_at >= answered_at - INTERVAL {round(lead * 1000)} MILLISECONDS
            AND came_at <= answered_at + INTERVAL {round(horizon * 1000)} MILLISECONDS"""
        ),
    )
    outcome = F.struct("answer.*", "actual", "priced_at")
    return met.select(
        F.col("request_id").alias("key"), F.to_json(outcome, {"ignoreNullFields": "false"}).alias("value")
    )
