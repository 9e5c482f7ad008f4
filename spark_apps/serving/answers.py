"""Answers as they stand in ``predictions``, and the rule by which readers take the first of two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pyspark.sql import functions as F

from spark_apps.listings.cleaning import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyspark.sql import Column, DataFrame

A = TypeVar("A")

_NO_PRICE = "the model gave no price"


def first_answers(answers: Iterable[A], request: Callable[[A], tuple[int, int]]) -> Iterator[A]:
    """Keep the first answer to each request and leave out the rest: the rule for reading ``predictions``.

    ``answers`` are in the order of their partitions; ``request`` tells an answer's ``(partition, offset)``.
    A second answer exists only where a server woke after its time as leader was over. Memory grows with
    the answers read: readers of an endless stream drop duplicates within a bounded time instead.
    """
    seen: set[tuple[int, int]] = set()
    for answer in answers:
        key = request(answer)
        if key not in seen:
            seen.add(key)
            yield answer


def answers(scored: DataFrame, *, epoch: Column, model_version: int) -> DataFrame:
    """Turn the model's output into records of ``predictions``, each in its request's own partition.

    Needs: ``request`` and the raw columns as :func:`spark_apps.serving.requests.requests` gives them, and
    ``prediction``, ``low``, ``high`` (double, dollars), ``members`` (struct of doubles) and ``unreadable``
    (text) of the model.
    Gives: ``key``, ``value`` and ``partition`` for Spark's Kafka sink.
    """
    return scored.select(
        F.col("request.id").alias("key"),
        answer(scored, epoch=epoch, model_version=model_version).alias("value"),
        F.col("request.partition").alias("partition"),
    )


def answer(scored: DataFrame, *, epoch: Column, model_version: int) -> Column:
    """Return the answer to each request as JSON; needs what :func:`answers` needs."""
    price = _dollars("prediction")
    members = [_dollars(f"members.{name}").alias(name) for name in _members(scored)]
    reason = F.coalesce("request.rejection", F.when(price.isNull(), F.lit(_NO_PRICE)))
    # A model of an earlier release does not say what it could not read.
    unread = F.col(UNREADABLE) if UNREADABLE in scored.columns else F.lit("")
    remark = F.when(unread != "", F.concat(F.lit("counted as missing: "), unread))
    predicted = reason.isNull()
    fields = F.struct(
        F.col("request.id").alias("request_id"),
        F.when(predicted, "predicted").otherwise("rejected").alias("status"),
        F.when(predicted, price).alias("price"),
        F.when(predicted, _dollars("low")).alias("low"),
        F.when(predicted, _dollars("high")).alias("high"),
        F.when(predicted, F.struct(*members)).alias("members"),
        F.lit(model_version).alias("model_version"),
        F.coalesce(reason, remark).alias("reason"),
        F.col("request.partition").alias("partition"),
        F.col("request.offset").alias("offset"),
        epoch.alias("epoch"),
        F.col("request.requested_at").alias("requested_at"),
    )
    return F.to_json(fields, {"ignoreNullFields": "false"})


def _dollars(column: str) -> Column:
    """Return the amount in whole cents, null where it is no finite number (which JSON could not hold)."""
    amount = F.col(column)
    return F.when(F.abs(amount) < float("inf"), F.round(amount, 2))


def _members(scored: DataFrame) -> list[str]:
    members: Any = scored.schema["members"].dataType
    return list(members.fieldNames())
