"""That a real JVM gives memory back when it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from spark_apps.jvm import jvm
from spark_apps.serving import memory

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SINCE = "17.0.9"


def collections() -> int:
    """How often all garbage was collected."""
    beans = jvm().java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()
    [whole] = [bean for bean in beans if bean.getName() == "MarkSweepCompact"]
    return int(whole.getCollectionCount())


def test_the_jvm_gives_memory_back(spark: SparkSession) -> None:  # its JVM
    runs = jvm().java.lang.Runtime.version()
    if runs.compareTo(runs.parse(SINCE)) < 0:
        pytest.skip(f"Java can do so since {SINCE}")
    before = collections()
    with capture_logs() as logs:
        memory.give_back()
    assert collections() > before
    assert [(one["event"], one["said"][:16]) for one in logs] == [("memory.given_back", "Trim native heap")]
