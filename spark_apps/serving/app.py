"""The serving app: a warm standby that becomes the one server that answers."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
from pyspark import SparkContext

from control_plane import logs
from control_plane.settings import Home, Servers, Topics, load
from control_plane.topics import LISTINGS, ensure_topics
from spark_apps.jvm import jvm
from spark_apps.serving import memory, preconditions, scratch, warmup
from spark_apps.serving.announcements import Announcements
from spark_apps.serving.follower import Follower
from spark_apps.serving.leadership import FileLeadership, Leader
from spark_apps.serving.lifeline import FAILED, Lifeline
from spark_apps.serving.model import Fetch
from spark_apps.serving.output import LIVE, server_name
from spark_apps.serving.processes import Process, die_with_parent
from spark_apps.serving.query import SESSION_CONF, AnswerQuery
from spark_apps.serving.settings import Pinned, Pod, Serving
from spark_apps.serving.standby import Standby
from spark_apps.serving.wanted import Following, deference
from spark_apps.serving.warmup import Warmup
from spark_apps.session import spark_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from pyspark.sql import SparkSession

    from spark_apps.serving.leadership import Leadership
    from spark_apps.serving.output import Output

log = structlog.get_logger()


def serve(
    lifeline: Lifeline, output: Output = LIVE, *, version: int | None = None, since: datetime | None = None
) -> None:
    """Become a warm standby, wait to lead, and answer until something ends this server.

    ``version`` is the model's, MODEL_VERSION unless given; ``since`` leaves out what was asked before.
    """
    servers, topics, settings = load(Servers), load(Topics), load(Serving)
    kafka = servers.kafka_bootstrap_servers
    pod = load(Pod)
    server = server_name(settings, pod, output)
    structlog.contextvars.bind_contextvars(server=server)
    announcements = Announcements(kafka, server, pod.pod_name, output.says)
    version = version or load(Pinned).model_version
    if version is None and settings.await_rollout:
        wait_to_be_replaced(announcements, settings.heartbeat, lifeline)
    leadership = leadership_of(output.leadership, settings, pod, server, kafka, version, lifeline)
    folder = scratch.make(settings.scratch)
    lifeline.at_the_end(leadership.release)
    lifeline.at_the_end(announcements.gone)
    lifeline.at_the_end(partial(shutil.rmtree, folder, ignore_errors=True))

    announcements.announce("starting", pids=(os.getpid(),))
    fetch = Fetch.begin(settings.model, version, folder / "model")
    ensure_topics(kafka, topics)
    partitions = preconditions.check(kafka, topics, output.topic)
    # Twice the partitions: the tasks of a query that was stopped may still be there when the next one begins.
    spark = spark_session("serving", cores=2 * partitions + 1, memory=settings.memory, conf=SESSION_CONF)
    gateway: Any = SparkContext._gateway
    processes = (Process.this(), lifeline.guard(gateway.proc))
    pids = tuple(process.pid for process in processes)
    # Without a version to serve, Spark being up is all there is to be ready with.
    announcements.announce("starting" if version else "standby", pids=pids)

    fetched = fetch.result(settings.heartbeat if version is None else None)
    query = AnswerQuery(spark, fetched.load(spark), fetched.version, kafka, folder, settings)
    follower = Follower(
        kafka, partitions, output, since=since, every_s=settings.marker_every_s, failed=lifeline.failed
    )
    follower.start()
    warmup.ensure_topics(kafka, partitions, topics.replication)
    with complaints_unheard(spark), ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(query.prepare, LISTINGS)  # the real plan, while the warm-up's gets compiled
        Warmup(kafka, partitions).run(query.arm, bursts=settings.warmup_bursts)
        prepared.result()
    standby = Standby(query, follower, lifeline.failed, output)
    announcements.announce("standby", model_version=fetched.version, pids=pids)
    log.info("serving.standby", model_version=fetched.version)

    follower.beat(settings.heartbeat)
    memory.watch(follower)

    predecessor = leadership.acquire()
    resume = follower.settle()
    epoch = max(predecessor.epoch if predecessor else 0, follower.epoch) + 1
    leadership.proclaim(Leader(server=server, epoch=epoch, processes=processes))
    answering = standby.lead(resume, epoch)
    log.info("serving.leads", epoch=epoch, resume={p: where.offset for p, where in resume.items()})
    announcements.announce(output.role, model_version=fetched.version, epoch=epoch, pids=pids)
    if predecessor and predecessor.server != server:
        announcements.bury(predecessor.server)
    answering.awaitTermination()
    lifeline.leave(FAILED, "query.ended")


def leadership_of(
    name: str, settings: Serving, pod: Pod, server: str, kafka: str, version: int | None, lifeline: Lifeline
) -> Leadership:
    """Return how this server and the others agree on the one that answers."""
    if settings.leadership == "file":
        return FileLeadership(load(Home).pipelines_home / name)
    from spark_apps.serving.lease import LeaseLeadership  # noqa: PLC0415 - its client takes 30 MB

    models = Following(kafka)
    return LeaseLeadership(
        pod.pod_namespace,
        name,
        server,
        deference=lambda: deference(models.wanted, version),
        lost=lifeline.failed,
    )


@contextmanager
def complaints_unheard(spark: SparkSession) -> Iterator[None]:
    """Keep Spark's errors from the log: a stopped real-time query is full of them, and none is one."""
    log4j = jvm().org.apache.logging.log4j

    def least(level: str, of_utils: str) -> None:
        spark.sparkContext.setLogLevel(level)
        # It has a level of its own in log4j2.properties.
        log4j.core.config.Configurator.setLevel("org.apache.spark.util.Utils", log4j.Level.toLevel(of_utils))

    least("FATAL", "OFF")
    try:
        yield
    finally:
        least("ERROR", "ERROR")


def wait_to_be_replaced(announcements: Announcements, heartbeat: Path | None, lifeline: Lifeline) -> NoReturn:
    """Stand by without a model until SIGTERM: the first rollout brings servers that have one."""
    lifeline.at_the_end(announcements.gone)
    announcements.announce("standby", pids=(os.getpid(),))
    log.info("serving.awaits_rollout")
    while True:
        if heartbeat:
            heartbeat.touch()
        time.sleep(1)


def main() -> int:
    """Serve; whatever ends it ends the JVM too."""
    logs.configure()
    if parent := os.environ.get("SERVING_PARENT"):
        die_with_parent(int(parent))
    lifeline = Lifeline()
    try:
        serve(lifeline)
    except Exception as error:
        lifeline.failed(error)
    return FAILED
