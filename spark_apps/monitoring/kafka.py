"""Kafka at the edge of the application: topics as streaming DataFrames, DataFrames as topics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_apps.monitoring.settings import Monitoring


def records(
    spark: SparkSession, bootstrap_servers: str, *topics: str, batch_records: int | None = None
) -> DataFrame:
    """Read topics from their beginning on: key, value, topic, partition, offset, timestamp (the broker's).

    Records that aged out unread are passed over (a query that fails for them could never start again);
    :mod:`spark_apps.monitoring.progress` counts them.
    """
    reader = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap_servers)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", "false")
    )
    if batch_records is not None:
        reader = reader.option("maxOffsetsPerTrigger", batch_records)
    return reader.load()


def kept_records(
    spark: SparkSession, bootstrap_servers: str, topic: str, offsets: Mapping[int, tuple[int, int]]
) -> DataFrame:
    """Read a part of a topic once: by partition the first offset and the one after the last."""
    starts = {str(partition): first for partition, (first, _) in offsets.items()}
    ends = {str(partition): end for partition, (_, end) in offsets.items()}
    return (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap_servers)
        .option("assign", json.dumps({topic: sorted(offsets)}))
        .option("startingOffsets", json.dumps({topic: starts}))
        .option("endingOffsets", json.dumps({topic: ends}))
        .option("failOnDataLoss", "false")
        .load()
    )


def start(
    records: DataFrame, bootstrap_servers: str, topic: str, *, name: str, settings: Monitoring
) -> StreamingQuery:
    """Write ``records`` (key, value) to a topic until stopped; query and checkpoint are called ``name``."""
    return (
        records.writeStream.format("kafka")
        .queryName(name)
        .option("kafka.bootstrap.servers", bootstrap_servers)
        .option("kafka.acks", "all")
        .option("topic", topic)
        .option("checkpointLocation", f"{settings.checkpoint_root}/{name}")
        .outputMode("append")
        .trigger(processingTime=f"{round(settings.trigger * 1000)} milliseconds")
        .start()
    )
