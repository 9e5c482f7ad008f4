"""The serving app: a warm standby that becomes the one server that answers."""

from __future__ import annotations

import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
from pyspark import SparkContext

from control_plane import logs
from control_plane.settings import Home, Servers, Topics, load
from control_plane.topics import LISTINGS
from spark_apps.serving import preconditions, scratch, warmup
from spark_apps.serving.announcements import Announcements
from spark_apps.serving.follower import Follower
from spark_apps.serving.leadership import FileLeadership, Leader
from spark_apps.serving.lifeline import FAILED, Lifeline
from spark_apps.serving.model import Fetch
from spark_apps.serving.processes import Process, die_with_parent
from spark_apps.serving.query import SESSION_CONF, AnswerQuery
from spark_apps.serving.settings import Pinned, Serving
from spark_apps.serving.standby import Standby
from spark_apps.serving.warmup import Warmup
from spark_apps.session import spark_session

log = structlog.get_logger()


def serve(lifeline: Lifeline) -> None:
    """Become a warm standby, wait to lead, and answer until something ends this server."""
    servers, topics, settings = load(Servers), load(Topics), load(Serving)
    kafka = servers.kafka_bootstrap_servers
    server = settings.server or f"{socket.gethostname()}-{os.getpid()}"
    structlog.contextvars.bind_contextvars(server=server)
    leadership = FileLeadership(load(Home).pipelines_home / "serving")
    announcements = Announcements(kafka, server)
    folder = scratch.make(settings.scratch)
    lifeline.at_the_end(leadership.release)
    lifeline.at_the_end(announcements.gone)
    lifeline.at_the_end(partial(shutil.rmtree, folder, ignore_errors=True))

    announcements.announce("starting", pids=(os.getpid(),))
    fetch = Fetch.begin(settings.model, load(Pinned).model_version, folder / "model")
    partitions = preconditions.check(kafka, topics)
    # Twice the partitions: the tasks of a query that was stopped may still be there when the next one begins.
    spark = spark_session("serving", cores=2 * partitions + 1, memory=settings.memory, conf=SESSION_CONF)
    gateway: Any = SparkContext._gateway
    processes = (Process.this(), lifeline.guard(gateway.proc))
    pids = tuple(process.pid for process in processes)
    # Without a version to serve, Spark being up is all there is to be ready with.
    announcements.announce("starting" if load(Pinned).model_version else "standby", pids=pids)

    fetched = fetch.result()
    query = AnswerQuery(spark, fetched.load(spark), fetched.version, kafka, folder, settings)
    follower = Follower(kafka, partitions, every_s=settings.marker_every_s, failed=lifeline.failed)
    follower.start()
    warmup.ensure_topics(kafka, partitions, topics.replication)
    spark.sparkContext.setLogLevel("FATAL")  # a stopped real-time query is full of complaints
    with ThreadPoolExecutor(1) as pool:  # the real plan is built while the warm-up's gets compiled
        prepared = pool.submit(query.prepare, LISTINGS)
        Warmup(kafka, partitions).run(query.arm, bursts=settings.warmup_bursts)
        prepared.result()
    spark.sparkContext.setLogLevel("ERROR")
    standby = Standby(query, follower, lifeline.failed)
    announcements.announce("standby", model_version=fetched.version, pids=pids)
    log.info("serving.standby", model_version=fetched.version)

    predecessor = leadership.acquire()
    resume = follower.settle()
    epoch = max(predecessor.epoch if predecessor else 0, follower.epoch) + 1
    leadership.proclaim(Leader(server=server, epoch=epoch, processes=processes))
    answering = standby.lead(resume, epoch)
    log.info("serving.leads", epoch=epoch, resume={p: where.offset for p, where in resume.items()})
    announcements.announce("active", model_version=fetched.version, epoch=epoch, pids=pids)
    if predecessor and predecessor.server != server:
        announcements.bury(predecessor.server)
    answering.awaitTermination()
    lifeline.leave(FAILED, "query.ended")


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
