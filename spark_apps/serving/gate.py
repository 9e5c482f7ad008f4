"""The gate in front of a query: a standby's query is started, planned and compiled, and waits here to lead.

Starting a query takes a second or more, which a hand-over must not wait for. So the real query runs in the
standby too, from an offset on that the leader is known to have passed, but its first record waits in the
plan's first filter until the gate opens. By then the filter knows where the leader stopped: what is answered
is passed over, and the rest gets its answer. Where the query begins is therefore no part of its plan, and
neither is the epoch.

The filter learns all this from the JVM's system properties, which Spark reads by ``java_method``, and waits
by opening a named pipe, which takes until somebody opens it to write. Both are looked at for every record.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyspark.sql import Column, SparkSession

    from spark_apps.serving.ledger import Resume

# What is told by partition: where to begin, the last offset above that is answered, all those that are.
_OF_A_PARTITION = ("begin", "last", "done")


class Gate:
    """Holds back the records of one topic until it is opened; closed again, it serves the next query."""

    def __init__(self, spark: SparkSession, topic: str, folder: Path) -> None:
        jvm: Any = spark._jvm
        self._system = jvm.java.lang.System
        self._prefix = f"serving.gate.{topic}"
        self._pipe = folder / f"{topic}.gate"
        self._writer: int | None = None
        self._set: set[str] = set()
        os.mkfifo(self._pipe, 0o600)

    def passes(self) -> Column:
        """Return whether a record is for this query to answer; waits while the gate is closed.

        Needs: ``partition``, ``offset``. Not deterministic, hence no filter is pushed below it.
        """
        pipe = str(self._pipe).replace("\\", r"\\").replace("'", r"\'")
        wait = f"java_method('scala.io.Source', 'fromFile', '{pipe}', 'UTF-8')"
        is_open, begin, last, done = (self._property(name) for name in ("open", *_OF_A_PARTITION))
        return F.expr(
            f"""CASE WHEN {is_open} = '' AND {wait} = '' THEN false
                     WHEN offset < CAST({begin} AS BIGINT) THEN false
                     WHEN offset > CAST({last} AS BIGINT) THEN true
                     ELSE instr({done}, concat(',', offset, ',')) = 0 END"""
        )

    def epoch(self) -> Column:
        """Return the epoch that the gate was opened for."""
        return F.expr(f"CAST({self._property('epoch')} AS INT)")

    def open(self, resume: Mapping[int, Resume], epoch: int) -> None:
        """Let pass what has to be answered, from ``resume`` on."""
        for partition, where in resume.items():
            done = [offset for start, end in where.answered for offset in range(start, end)]
            self._tell(f"begin.{partition}", where.offset)
            self._tell(f"last.{partition}", max(done, default=-1))
            self._tell(f"done.{partition}", "".join(f",{offset}" for offset in done) + ",")
        self._tell("epoch", epoch)
        self._tell("open", "yes")
        if self._writer is None:
            # For reading as well: thus it does not wait for a reader.
            self._writer = os.open(self._pipe, os.O_RDWR)

    def close(self) -> None:
        """Hold back again; the query that was behind the gate has ended."""
        for name in self._set:
            self._system.clearProperty(name)
        self._set.clear()
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def _tell(self, name: str, value: object) -> None:
        self._system.setProperty(f"{self._prefix}.{name}", str(value))
        self._set.add(f"{self._prefix}.{name}")

    def _property(self, name: str) -> str:
        key = f"'{self._prefix}.{name}'"
        if name in _OF_A_PARTITION:
            key = f"concat({key}, '.', partition)"
        return f"java_method('java.lang.System', 'getProperty', {key}, '')"
