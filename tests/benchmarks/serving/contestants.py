"""What is measured: this project's server, and the floor below it."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from control_plane import audit, topics
from control_plane.sandbox.processes import ManagedProcess
from tests.benchmarks.processes import BenchmarkError, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from control_plane.settings import Servers

RELAY, SERVING = "bare relay, no model", "this project"
_START_S = 240.0
_LOOK_S = 0.5


@dataclass(frozen=True)
class Contestant:
    """A process that answers what is in ``requests`` into ``answers``."""

    name: str
    requests: str
    answers: str
    process: ManagedProcess

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it and its children have taken so far."""
        root = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    @property
    def resident_bytes(self) -> int:
        """The memory that it and its children hold now."""
        return resident_bytes(self.process.pid)


@contextmanager
def relay(servers: Servers, logs: Path, partitions: int) -> Iterator[Contestant]:
    """Run the relay on topics of its own: in those of the system its answers would be taken for answers."""
    kafka, names = servers.kafka_bootstrap_servers, ("bench.requests", "bench.answers")
    config = {"message.timestamp.type": "LogAppendTime"}
    admin = AdminClient({"bootstrap.servers": kafka})
    made = admin.create_topics([NewTopic(name, partitions, 1, config=config) for name in names])
    for future in made.values():
        future.result(30)
    command = [sys.executable, "-m", "tests.benchmarks.serving.relay", kafka, *names]
    process = ManagedProcess("relay", command, log_file=logs / "relay.log", env=dict(os.environ))
    process.start()
    try:
        yield Contestant(RELAY, *names, process)
    finally:
        process.stop()


@contextmanager
def serving(servers: Servers, home: Path, logs: Path, version: int) -> Iterator[Contestant]:
    """Run one server of this project, once it answers."""
    environment = os.environ | servers.environment()
    environment |= {"PIPELINES_HOME": str(home), "MODEL_VERSION": str(version), "LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "spark_apps.serving"]
    process = ManagedProcess("serving", command, log_file=logs / "serving.log", env=environment)
    process.start()
    try:
        _await_active(servers.kafka_bootstrap_servers, process)
        yield Contestant(SERVING, topics.LISTINGS, topics.PREDICTIONS, process)
    finally:
        process.stop()


def _await_active(kafka: str, process: ManagedProcess) -> None:
    give_up = time.monotonic() + _START_S
    while not any(one.role == "active" for one in audit.servers(kafka)):
        if process.poll() is not None or time.monotonic() > give_up:
            raise BenchmarkError(f"the server did not start; its log is {process.log_file}")
        time.sleep(_LOOK_S)
