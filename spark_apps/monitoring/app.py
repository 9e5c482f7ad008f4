"""The monitoring application: answers and prices become outcomes, outcomes become windows of errors.

Two queries, because in one the windows would inherit the join's watermark and be published a whole price
horizon late. Each has a checkpoint; when either fails, the process ends with status 1, and the next one goes
on where it stopped.
"""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime

import structlog
from confluent_kafka import KafkaException

from control_plane import logs, topics
from control_plane.settings import Servers, SettingsError, Topics, load
from spark_apps.monitoring import following, joining, kafka, state, ticks, windows
from spark_apps.monitoring.settings import Monitoring
from spark_apps.session import SparkUnavailableError, spark_session

log = structlog.get_logger()


def main() -> int:
    """Run until SIGTERM or SIGINT (status 0), or until something fails (status 1)."""
    logs.configure()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        run(load(Monitoring), load(Servers).kafka_bootstrap_servers, stopping)
    except (
        KafkaException,
        SettingsError,
        SparkUnavailableError,
        state.StateInUseError,
        following.QueryFailedError,
    ) as error:
        log.error("monitoring.failed", reason=str(error))  # noqa: TRY400 the reason says it all
        return 1
    log.info("monitoring.stopped")
    return 0


def run(settings: Monitoring, brokers: str, stopping: threading.Event) -> None:
    """Keep both queries running until ``stopping`` is set."""
    topics.ensure_topics(brokers, load(Topics))
    java = {"spark.driver.defaultJavaOptions": settings.java_options}
    spark = spark_session(
        "monitoring", cores=settings.cores, memory=settings.memory, conf=java | state.options(settings)
    )
    lock = state.hold(spark, settings.checkpoint_root)  # held as long as it is referred to

    outcomes = joining.outcomes(
        kafka.records(spark, brokers, topics.PREDICTIONS, batch_records=settings.batch_records),
        kafka.records(spark, brokers, topics.LISTINGS, batch_records=settings.batch_records),
        horizon=settings.price_horizon,
        lead=settings.price_lead,
    )
    joined = kafka.start(outcomes, brokers, topics.OUTCOMES, name="outcomes", settings=settings)
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
    windowed = kafka.start(errors, brokers, topics.METRICS, name="windows", settings=settings)

    ticker = ticks.Ticker(
        ticks.kafka_sender(brokers, topics.MONITORING_TICKS),
        step=settings.step,
        delay=settings.delay,
        patience=2 * settings.trigger,
    )
    ticker.wake(datetime.now(UTC))
    log.info("monitoring.started", checkpoint=settings.checkpoint_root, window_s=settings.window)
    following.follow(
        {"outcomes": joined, "windows": windowed},
        {"windows": ticker.on_progress},
        heartbeat=settings.heartbeat,
        stopping=stopping,
    )
    following.stop(joined, windowed)
    del lock
