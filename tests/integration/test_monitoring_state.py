"""One application writes to a checkpoint."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from spark_apps.monitoring.state import StateInUseError, hold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)  # the kind of lock that Java takes
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_application(checkpoint: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(checkpoint / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


def test_a_checkpoint_that_another_application_writes_to_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    with another_application(tmp_path), pytest.raises(StateInUseError, match=str(tmp_path)):
        hold(spark, str(tmp_path), patience_s=0)


def test_a_checkpoint_whose_application_is_gone_is_free(spark: SparkSession, tmp_path: Path) -> None:
    with another_application(tmp_path):
        pass
    assert hold(spark, str(tmp_path), patience_s=0) is not None


def test_a_checkpoint_that_is_no_folder_is_not_locked(spark: SparkSession) -> None:
    assert hold(spark, "webhdfs://127.0.0.1:1/monitoring", patience_s=0) is None
