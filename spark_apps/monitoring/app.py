"""The monitoring application: answers and prices become outcomes, outcomes become windows of errors.

Beside them a thread holds each window of requests and answers against what the model was trained on.

Two queries, because in one the windows would inherit the join's watermark and be published a whole price
horizon late. Each has a checkpoint; when either fails, the process ends with status 1, and the next one goes
on where it stopped.
"""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import KafkaException
from pyspark import SparkContext

from control_plane import logs, topics
from control_plane.registry import Registry
from control_plane.settings import Servers, SettingsError, Topics, load
from spark_apps.monitoring import (
    checkpoint,
    drift,
    following,
    joining,
    kafka,
    references,
    state,
    ticks,
    windows,
)
from spark_apps.monitoring.settings import Monitoring
from spark_apps.serving.settings import Serving
from spark_apps.session import SparkUnavailableError, spark_session

log = structlog.get_logger()

_DRIFT_GRACE_S = 3.0


def main() -> int:
    """Run until SIGTERM or SIGINT (status 0), or until something fails (status 1)."""
    logs.configure()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    leaving = threading.Event()
    try:
        run(load(Monitoring), load(Servers), stopping, leaving)
    except (
        KafkaException,
        SettingsError,
        SparkUnavailableError,
        state.StateInUseError,
        following.QueryFailedError,
    ) as error:
        log.error("monitoring.failed", reason=str(error))  # noqa: TRY400 the reason says it all
        return 1
    finally:
        leaving.set()
    log.info("monitoring.stopped")
    return 0


def _end_with_the_jvm(leaving: threading.Event) -> None:
    """End this process with status 1 as soon as Spark's JVM has ended, unless it is ``leaving`` anyway.

    A call that waits for an answer of a JVM that was killed may wait for ever.
    """
    gateway: Any = SparkContext._gateway

    def wait() -> None:
        gateway.proc.wait()
        if not leaving.is_set():
            log.error("monitoring.failed", reason="Spark's JVM has ended")
            os._exit(1)

    threading.Thread(target=wait, name="jvm", daemon=True).start()


def run(settings: Monitoring, servers: Servers, stopping: threading.Event, leaving: threading.Event) -> None:
    """Keep both queries running until ``stopping`` is set; ``leaving`` is to be set when this returns."""
    brokers = servers.kafka_bootstrap_servers
    topics.ensure_topics(brokers, load(Topics))
    java = {"spark.driver.defaultJavaOptions": settings.java_options}
    spark = spark_session(
        "monitoring", cores=settings.cores, memory=settings.memory, conf=java | state.options(settings)
    )
    _end_with_the_jvm(leaving)
    lock = state.hold(spark, settings.checkpoint_root)  # held as long as it is referred to

    outcomes = joining.outcomes(
        kafka.records(spark, brokers, topics.PREDICTIONS, batch_records=settings.batch_records),
        # Requests stand among the prices: both topics are to come to the same time in the same batch.
        kafka.records(spark, brokers, topics.LISTINGS, batch_records=2 * settings.batch_records),
        horizon=settings.price_horizon,
        lead=settings.price_lead,
    )
    checkpoint.ensure_made(spark, outcomes, brokers, settings, stopping)
    if stopping.is_set():
        return
    root = checkpoint.root(settings)
    joined = kafka.start(
        outcomes, brokers, topics.OUTCOMES, name="outcomes", root=root, every=settings.trigger
    )
    # A batch that was killed while it wrote is written again now, before the windows forget its first try.
    following.wait_for_a_batch(joined, stopping)
    if stopping.is_set():
        return

    errors = (
        windows.known_once(
            kafka.records(spark, brokers, topics.OUTCOMES, topics.MONITORING_TICKS),
            ticks=topics.MONITORING_TICKS,
            delay=settings.delay,
            replay=settings.replay,
        )
        .transform(windows.by_model)
        .transform(windows.error_windows, settings.window, settings.step)
        .transform(windows.as_records)
    )
    windowed = kafka.start(errors, brokers, topics.METRICS, name="windows", root=root, every=settings.trigger)

    tick = ticks.kafka_sender(brokers, topics.MONITORING_TICKS)
    ticker = ticks.Ticker(
        tick,
        step=settings.step,
        delay=settings.delay,
        patience=2 * settings.trigger,
    )
    ticker.wake(datetime.now(UTC))
    drifts = drift.Drift(
        spark,
        brokers,
        references.References(Registry(servers.mlflow_tracking_uri)),
        settings,
        load(Serving).max_request_bytes,
        tick,
    )
    drifting = threading.Thread(target=drifts.run, args=(stopping,), name="drift", daemon=True)
    drifting.start()
    log.info(
        "monitoring.started",
        checkpoint=root,
        window_s=settings.window,
        step_s=settings.step,
    )
    following.follow(
        {"outcomes": joined, "windows": windowed},
        {"windows": ticker.on_progress},
        heartbeat=settings.heartbeat,
        stopping=stopping,
    )
    drifting.join(_DRIFT_GRACE_S)
    following.stop(joined, windowed)
    del lock
