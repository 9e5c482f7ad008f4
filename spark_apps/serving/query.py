"""The query: requests in, answers out, in Spark's real-time mode."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from spark_apps.serving.answers import answers
from spark_apps.serving.gate import Gate
from spark_apps.serving.ledger import Resume
from spark_apps.serving.requests import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from spark_apps.serving.model import LoadedModel
    from spark_apps.serving.settings import Serving

_FOREVER_MS = str(2**31 - 1)
_NEVER = 2**62  # an offset that no partition reaches
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
    # A whole stage of such a query is one method of 50 kB and more. Java's compilers give it up, for want of
    # registers and of nodes, and it is interpreted; small methods take two thirds of the time.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.variant.allowDuplicateKeys": "true",  # JSON's last one wins, as in from_json
    "spark.log.level": "ERROR",
    "spark.ui.liveUpdate.period": "0",  # else a task that has started may be told of at the next heartbeat
    # Spark collects all garbage every half hour, which may stop answers for 0.2 s. Under load next to nothing
    # grows old, and when requests pause it is done besides (memory.py).
    "spark.cleaner.periodicGC.interval": "12h",
    # Every start writes the plan out in words for listeners; here nobody reads it.
    "spark.sql.debug.maxToStringFields": "1",
    "spark.sql.maxPlanStringLength": "100",
    "spark.sql.maxMetadataStringLength": "10",
    "spark.sql.streaming.kafka.useDeprecatedOffsetFetching": "false",
    # The second compiler begins after ten thousands of requests only: a start takes 30 to 32 s of a core
    # instead of 37, and a backlog is gone as soon. What it needs for a while is given back when requests
    # pause (memory.py), and once an hour where they never do.
    "spark.driver.extraJavaOptions": (
        "-XX:+IgnoreUnrecognizedVMOptions -XX:TrimNativeHeapInterval=3600000 "
        "-Xss4m -XX:ReservedCodeCacheSize=96m "
        "-XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=6000 "
        "-XX:Tier4CompileThreshold=40000 -XX:Tier4BackEdgeThreshold=400000"
    ),
}


@dataclass(frozen=True)
class Armed:
    """A query that runs and waits at its gate."""

    query: StreamingQuery
    gate: Gate
    begins_at: dict[int, int]

    def lead(self, resume: Mapping[int, Resume], epoch: int) -> StreamingQuery:
        """Answer from ``resume`` on, which must not lie before the query's own beginning."""
        self.gate.open(resume, epoch)
        return self.query

    def disarm(self) -> None:
        """End the query without an answer; the gate is closed again then."""
        self.gate.open({partition: Resume(_NEVER) for partition in self.begins_at}, 0)
        self.query.stop()
        self.gate.close()


@dataclass
class AnswerQuery:
    """Starts the same query on any topic, again and again; each start has a fresh checkpoint: it is scratch.

    The plan is built and analysed once a topic, which takes longer than all the rest of a start.
    """

    spark: SparkSession
    model: LoadedModel
    model_version: int
    bootstrap_servers: str
    scratch: Path
    settings: Serving
    _plans: dict[str, tuple[DataFrame, Gate]] = field(default_factory=dict)
    _starts: Iterator[int] = field(default_factory=count)

    def prepare(self, source: str) -> tuple[DataFrame, Gate]:
        """Build the plan from requests to answers, and its gate, unless they are there."""
        if source not in self._plans:
            gate = Gate(self.spark, source, self.scratch)
            waiting = self._listings(source).where(gate.passes())
            scored = self.model.transform(requests(waiting, max_bytes=self.settings.max_request_bytes))
            plan = answers(scored, epoch=gate.epoch(), model_version=self.model_version)
            self._plans[source] = plan, gate
        return self._plans[source]

    def arm(self, source: str, sink: str, begins_at: Mapping[int, int]) -> Armed:
        """Start a query from ``source`` to ``sink`` that waits at the gate, from the given offsets on."""
        plan, gate = self.prepare(source)
        checkpoint = self.scratch / "checkpoints" / str(next(self._starts))
        begin_at(checkpoint, source, begins_at)
        query: StreamingQuery = (
            plan.writeStream.format("kafka")
            .options(**_SINK)
            .option("kafka.bootstrap.servers", self.bootstrap_servers)
            .option("topic", sink)
            .option("checkpointLocation", checkpoint.as_uri())
            .outputMode("update")
            .trigger(realTime=self.settings.batch)  # type: ignore[call-overload] # not in PySpark's overloads
            .start()
        )
        return Armed(query, gate, dict(begins_at))

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
