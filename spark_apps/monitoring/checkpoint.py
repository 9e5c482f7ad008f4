"""Where what was read and remembered is kept, and how it is made anew where there is none.

A checkpoint of another format cannot be read, and one may be lost. The topics still hold what was in it:
prices and answers are joined once more from their beginning, except those whose outcome is in ``outcomes``
already, and only then the application begins its work. Windows that are published again are as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from control_plane import topics
from spark_apps.monitoring import following, kafka

if TYPE_CHECKING:
    import threading

    from pyspark.sql import DataFrame, SparkSession

    from spark_apps.monitoring.settings import Monitoring

log = structlog.get_logger()

#: Another one for another plan of the queries: Spark cannot read what a different plan remembered.
FORMAT = "2"
_MADE = "made"


def root(settings: Monitoring) -> str:
    """Return where the checkpoints of this format lie."""
    return f"{settings.checkpoint_root}/{FORMAT}"


def ensure_made(
    spark: SparkSession,
    outcomes: DataFrame,
    brokers: str,
    settings: Monitoring,
    stopping: threading.Event,
) -> None:
    """Make a checkpoint of ``outcomes`` (key, value) where there is none, or one that was not finished.

    Returns early when ``stopping`` is set, and the next start begins again.
    Raises: :class:`following.QueryFailedError`.
    """
    jvm: Any = spark._jvm
    made = jvm.org.apache.hadoop.fs.Path(f"{root(settings)}/{_MADE}")
    files = made.getFileSystem(spark._jsc.hadoopConfiguration())
    if files.exists(made):
        return
    if kafka.has_records(brokers, topics.OUTCOMES):
        log.info("monitoring.checkpoint_made_anew", checkpoint=root(settings))
        known = kafka.all_records(spark, brokers, topics.OUTCOMES).select("key").distinct().localCheckpoint()
        query = kafka.start(
            outcomes.join(known, "key", "left_anti"),
            brokers,
            topics.OUTCOMES,
            name="outcomes",
            root=root(settings),
            every=None,
        )
        following.wait_for_the_end(query, settings.heartbeat, stopping)
        if stopping.is_set():
            return
    files.create(made).close()
