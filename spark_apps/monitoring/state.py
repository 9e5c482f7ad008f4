"""What the application remembers between batches: where, how, and that only one process writes there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_apps.monitoring.settings import Monitoring

_STORE = "spark.sql.streaming.stateStore"
_PREDECESSOR_S = 30.0


class StateInUseError(RuntimeError):
    """Another monitoring application writes to the same checkpoint."""


def options(settings: Monitoring) -> dict[str, str]:
    """Return Spark's options for state in RocksDB: on disk, written as changes, bounded in memory."""
    return {
        "spark.sql.shuffle.partitions": str(settings.state_partitions),
        f"{_STORE}.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        f"{_STORE}.rocksdb.changelogCheckpointing.enabled": "true",
        f"{_STORE}.rocksdb.boundedMemoryUsage": "true",
        f"{_STORE}.rocksdb.maxMemoryUsageMB": str(settings.state_memory_mb),
        # What a join remembers in the order of time: it forgets by cutting off the oldest, where the formats
        # before look at every row in every batch, which a day's answers make a matter of minutes. Spark calls
        # the format unfinished; that it is right is what `pipelines metrics verify` and our kills show.
        "spark.sql.streaming.join.stateFormatVersion": "4",
        "spark.sql.streaming.join.stateFormatV4.enabled": "true",
        # With two inputs, the slower one says how late it is.
        "spark.sql.streaming.multipleWatermarkPolicy": "min",
        # The check refuses every sort. Ours is within a partition, and only orders what one batch brought.
        "spark.sql.streaming.unsupportedOperationCheck": "false",
        "spark.sql.streaming.minBatchesToRetain": "10",
        "spark.sql.adaptive.enabled": "false",  # not for stateful queries; Spark says so each time
        # The code of a whole stage has the watermark in it, so each batch would compile it anew.
        "spark.sql.codegen.wholeStage": "false",
        # Every batch writes its plan out in words for listeners; here nobody reads it.
        "spark.sql.debug.maxToStringFields": "1",
        "spark.sql.maxPlanStringLength": "100",
        "spark.sql.maxMetadataStringLength": "10",
    }


def hold(spark: SparkSession, root: str, *, patience_s: float = _PREDECESSOR_S) -> Any:
    """Lock the checkpoint for Spark's JVM, which is what writes; keep what this returns.

    The JVM of a Python process that was killed lives on for a moment: it is waited for. Raises
    :class:`StateInUseError` when it, or another application, still holds the lock after ``patience_s``. Only
    folders are locked; elsewhere the deployment has to see to it that there is one application.
    """
    if urlsplit(root).scheme not in {"", "file"}:
        return None
    folder = Path(urlsplit(root).path)
    folder.mkdir(parents=True, exist_ok=True)
    jvm: Any = spark._jvm  # the lock has to be the JVM's own
    channel = jvm.java.io.RandomAccessFile(str(folder / "lock"), "rw").getChannel()
    deadline = time.monotonic() + patience_s
    while (lock := channel.tryLock()) is None:
        if time.monotonic() > deadline:
            raise StateInUseError(
                f"{folder} is in use by another monitoring application: stop that one first"
            )
        time.sleep(0.1)
    return channel, lock
