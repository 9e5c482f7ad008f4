"""Kafka at the edge of the application: topics as streaming DataFrames, DataFrames as topics."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition
from pyspark.sql import functions as F

from control_plane.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery


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


def all_records(spark: SparkSession, bootstrap_servers: str, topic: str) -> DataFrame:
    """Read what a topic holds now, once; the key as text."""
    return (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap_servers)
        .option("subscribe", topic)
        .option("failOnDataLoss", "false")
        .load()
        .withColumn("key", F.col("key").cast("string"))
    )


def has_records(bootstrap_servers: str, topic: str) -> bool:
    """Return whether a topic holds anything."""
    with closing(Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "monitoring"})) as consumer:
        partitions = patiently(lambda: consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        places = [TopicPartition(topic, number) for number in partitions]
        spans = patiently(lambda: [consumer.get_watermark_offsets(place, timeout=10) for place in places])
    return any(first < end for first, end in spans)


def start(
    records: DataFrame, bootstrap_servers: str, topic: str, *, name: str, root: str, every: float | None
) -> StreamingQuery:
    """Write ``records`` (key, value) to a topic; the query and its checkpoint under ``root`` are ``name``.

    It looks for new records ``every`` so many seconds until stopped; with None it ends with what is there.
    """
    writer = (
        records.writeStream.format("kafka")
        .queryName(name)
        .option("kafka.bootstrap.servers", bootstrap_servers)
        .option("kafka.acks", "all")
        .option("topic", topic)
        .option("checkpointLocation", f"{root}/{name}")
        .outputMode("append")
    )
    if every is None:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{round(every * 1000)} milliseconds").start()
