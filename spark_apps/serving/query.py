"""The query: requests in, answers out, in Spark's real-time mode."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.serving.answers import answer_records, answers
from spark_apps.serving.requests import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_apps.serving.ledger import Resume
    from spark_apps.serving.settings import Serving

_FOREVER_MS = str(2**31 - 1)
_LOOK_S = 0.005

# A batch that expires would leave a hole and a producer that gives up ends the query, so neither happens
# while the broker is away: answers come late, in order, and once.
_SINK = {
    "kafka.acks": "all",
    "kafka.enable.idempotence": "true",
    "kafka.linger.ms": "0",
    "kafka.delivery.timeout.ms": _FOREVER_MS,
    "kafka.max.block.ms": _FOREVER_MS,
    "kafka.reconnect.backoff.max.ms": "500",
}
_SOURCE = {
    "failOnDataLoss": "true",
    "kafka.isolation.level": "read_committed",
    "kafka.default.api.timeout.ms": _FOREVER_MS,
    "kafka.reconnect.backoff.max.ms": "500",
    "kafka.max.poll.records": "2000",
}
SESSION_CONF = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.variant.allowDuplicateKeys": "true",  # JSON's last one wins, as in from_json
    "spark.log.level": "ERROR",
    "spark.ui.liveUpdate.period": "0",  # else a task that has started may be told of at the next heartbeat
    # Every start writes the plan out in words for listeners; here nobody reads it.
    "spark.sql.debug.maxToStringFields": "1",
    "spark.sql.maxPlanStringLength": "100",
    "spark.sql.maxMetadataStringLength": "10",
    "spark.sql.streaming.kafka.useDeprecatedOffsetFetching": "false",
    "spark.driver.extraJavaOptions": "-Xss4m -XX:ReservedCodeCacheSize=128m -XX:-DontCompileHugeMethods",
}


@dataclass
class AnswerQuery:
    """Starts the same query on any pair of topics; each start has a fresh checkpoint, which is scratch.

    All that can be known before a hand-over is done once a topic: to build and analyse the plan takes longer
    than all the rest of a start. The offsets to begin at stand in the checkpoint, so that they are no
    part of the plan.
    """

    spark: SparkSession
    model: PipelineModel
    model_version: int
    bootstrap_servers: str
    checkpoints: Path
    settings: Serving
    _plans: dict[str, DataFrame] = field(default_factory=dict)
    _starts: Iterator[int] = field(default_factory=count)

    def prepare(self, source: str) -> DataFrame:
        """Build and analyse the plan from the requests of ``source`` to their answers, unless it is there."""
        if source not in self._plans:
            waiting = requests(self._listings(source), max_bytes=self.settings.max_request_bytes)
            scored = self.model.transform(waiting)
            self._plans[source] = answers(scored, model_version=self.model_version)
        return self._plans[source]

    def start(self, source: str, sink: str, resume: Mapping[int, Resume], *, epoch: int) -> StreamingQuery:
        """Answer the requests of ``source`` in ``sink`` from the given offsets on, until stopped."""
        answered = self.prepare(source).transform(unanswered, resume)
        checkpoint = self.checkpoints / str(next(self._starts))
        begin_at(checkpoint, source, {partition: where.offset for partition, where in resume.items()})
        query: StreamingQuery = (
            answer_records(answered, epoch=epoch)
            .writeStream.format("kafka")
            .options(**_SINK)
            .option("kafka.bootstrap.servers", self.bootstrap_servers)
            .option("topic", sink)
            .option("checkpointLocation", checkpoint.as_uri())
            .outputMode("update")
            .trigger(realTime=self.settings.batch)  # type: ignore[call-overload] # not in PySpark's overloads
            .start()
        )
        return query

    def _listings(self, topic: str) -> DataFrame:
        return (
            self.spark.readStream.format("kafka")
            .options(**_SOURCE)
            .option("kafka.bootstrap.servers", self.bootstrap_servers)
            .option("kafka.fetch.max.wait.ms", self.settings.fetch_wait_ms)
            .option("subscribe", topic)
            .load()
        )


def begin_at(checkpoint: Path, topic: str, offsets: Mapping[int, int]) -> None:
    """Write a checkpoint of a query that knows where it begins and has not yet done so.

    It is where Kafka's source keeps the offsets of its very first start (``KafkaSourceInitialOffsetWriter``):
    a zero byte, the version, the offsets.
    """
    begins = json.dumps({topic: {str(partition): offset for partition, offset in offsets.items()}})
    file = checkpoint / "sources" / "0" / "0"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\0v1\n" + begins.encode())


def unanswered(answered: DataFrame, resume: Mapping[int, Resume]) -> DataFrame:
    """Leave out the answers that a predecessor gave beyond a hole.

    Needs: ``answer``, as of :func:`answers`. Without a hole, which is nearly always, the plan stays as it is.
    """
    for partition, where in resume.items():
        for start, end in where.answered:
            answered = answered.where(~_within(partition, start, end))
    return answered


def _within(partition: int, start: int, end: int) -> Column:
    offset = F.col("answer.offset")
    return (F.col("answer.partition") == partition) & (offset >= start) & (offset < end)


def await_tasks(spark: SparkSession, query: StreamingQuery, partitions: int, timeout_s: float) -> bool:
    """Wait until a task reads every partition; False when none does in time or the query has ended."""
    tracker = spark.sparkContext.statusTracker()
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and query.isActive:
        for stage in tracker.getActiveStageIds():
            info = tracker.getStageInfo(stage)
            if info is not None and info.numActiveTasks >= partitions:
                return True
        time.sleep(_LOOK_S)
    return False
