"""The application as a process on one core, looked at from outside while it works."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from confluent_kafka import Consumer, TopicPartition

from control_plane.patience import patiently
from control_plane.sandbox.processes import ManagedProcess
from control_plane.topics import OUTCOMES
from tests.benchmarks.monitoring.results import Drained, Sample
from tests.benchmarks.processes import BenchmarkError, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from control_plane.settings import Servers

_EVERY_S = 1.0
_PATIENCE_S = 180.0
_TICKS = os.sysconf("SC_CLK_TCK")
_THREADS = {
    "Executor task l": "tasks of Spark",
    "Executor task i": "tasks of Spark",  # "idle": the name that the JVM has told the system stays
    "stream executio": "drivers of the queries",
}


@contextmanager
def running(
    servers: Servers, home: Path, log: Path, core: int | None, told: Mapping[str, str]
) -> Iterator[ManagedProcess]:
    """Run the application on ``core`` alone, or wherever the system likes."""
    environment = os.environ | servers.environment() | dict(told)
    environment |= {"PIPELINES_HOME": str(home), "LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    log.unlink(missing_ok=True)
    process = ManagedProcess(
        "monitoring", [sys.executable, "-m", "spark_apps.monitoring"], log_file=log, env=environment
    )
    process.start()
    try:
        if core is not None:
            psutil.Process(process.pid).cpu_affinity([core])  # its JVM inherits it
        yield process
    finally:
        process.stop()


@dataclass
class _Told:
    """What the application has told of its batches so far."""

    log: Path
    state_rows: dict[str, int] = field(default_factory=dict)
    steps: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _read: int = 0

    def look(self) -> None:
        with self.log.open("rb") as file:
            file.seek(self._read)
            *lines, rest = file.read().split(b"\n")
            self._read = file.tell() - len(rest)
        for line in lines:
            with suppress(ValueError):
                said = json.loads(line)
                if said["event"] == "monitoring.batch":
                    self.state_rows[said["query"]] = said["state_rows"]
                    self.steps[said["query"]].update(said["steps"])


def drained(kafka: str, process: ManagedProcess, home: Path, answers: int, partitions: int) -> Drained:
    """Look at the application every second until it has written an outcome for each answer.

    Raises: :class:`BenchmarkError` when it ends, or writes nothing for three minutes.
    """
    told, found, begun = _Told(process.log_file), list[Sample](), time.monotonic()
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench"})
    moved = begun
    while not found or found[-1].outcomes < answers:
        time.sleep(_EVERY_S)
        if process.poll() is not None:
            raise BenchmarkError(f"the application ended; its log is {process.log_file}")
        told.look()
        done = _records(consumer, partitions)
        if not found or done > found[-1].outcomes:
            moved = time.monotonic()
        elif time.monotonic() > moved + _PATIENCE_S:
            raise BenchmarkError(f"{answers - done:,} of {answers:,} outcomes never came")
        found.append(_sample(time.monotonic() - begun, done, told, process, home))
    consumer.close()
    steps = {query: {name: ms / 1000 for name, ms in took.items()} for query, took in told.steps.items()}
    return Drained(tuple(found), _threads(process), steps)


def _records(consumer: Consumer, partitions: int) -> int:
    places = [TopicPartition(OUTCOMES, number) for number in range(partitions)]
    return patiently(  # a new topic may have no leader yet
        lambda: sum(consumer.get_watermark_offsets(place, timeout=30)[1] for place in places), timeout_s=30
    )


def _sample(seconds: float, outcomes: int, told: _Told, process: ManagedProcess, home: Path) -> Sample:
    return Sample(
        seconds=seconds,
        outcomes=outcomes,
        state_rows=sum(told.state_rows.values()),
        state_bytes=_bytes(home / "monitoring"),
        resident_bytes=resident_bytes(process.pid),
        cpu_seconds=sum(_threads(process).values()),
    )


def _bytes(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # old files go all the time
                total += (Path(path) / name).stat().st_size
    return total


def _threads(process: ManagedProcess) -> dict[str, float]:
    """Return the processor seconds of threads by kind: those of Python, and by name those of the JVM."""
    root = psutil.Process(process.pid)
    found: defaultdict[str, float] = defaultdict(float)
    for one in (root, *root.children(recursive=True)):
        for task in Path(f"/proc/{one.pid}/task").glob("*"):
            with suppress(OSError):
                name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
                numbers = rest.split()
                spent = (int(numbers[11]) + int(numbers[12])) / _TICKS
                found["Python" if one.pid == root.pid else _THREADS.get(name, name)] += spent
    return dict(found)
