"""Who is measured: this project's server, the floor below it, and what many would pick instead.

Each runs alone, with all cores, on the same broker; those that are not the project's on topics of their own,
made as the project's are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from control_plane import audit, topics
from control_plane.sandbox.processes import ManagedProcess
from tests.benchmarks.processes import proportional_bytes, resident_bytes
from tests.benchmarks.serving.results import MICRO_BATCH, PLAIN, PLAIN_A_CORE, RELAY, SERVING
from tests.benchmarks.training.contestants import BENCH_PYTHON, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane.settings import Servers

_START_S = 240.0
_GRACE_S = 10.0
# As in trainings: a thread that waits by spinning takes the time that the broker needs.
_PLAINS = {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}


@dataclass(frozen=True)
class Place:
    """What all contestants are given; ``plain`` is where the plain consumer's model is."""

    servers: Servers
    home: Path
    logs: Path
    version: int
    partitions: int
    cores: int
    plain: Path | None = None


@dataclass(frozen=True)
class Contestant:
    """Processes that answer what is in ``requests`` into ``answers``."""

    name: str
    requests: str
    answers: str
    processes: tuple[ManagedProcess, ...]

    @property
    def cpu_seconds(self) -> float:
        """The processor time that they and their children have taken so far."""
        roots = [psutil.Process(process.pid) for process in self.processes]
        times = [one.cpu_times() for root in roots for one in (root, *root.children(recursive=True))]
        return sum(one.user + one.system for one in times)

    @property
    def resident_bytes(self) -> int:
        """The memory that they and their children hold now."""
        return sum(resident_bytes(process.pid) for process in self.processes)

    @property
    def proportional_bytes(self) -> int:
        """The same, of pages that other processes have too only a share."""
        return sum(proportional_bytes(process.pid) for process in self.processes)


Start = Callable[[Place], AbstractContextManager[Contestant]]


@contextmanager
def relay(place: Place) -> Iterator[Contestant]:
    """Run the relay."""
    names = _own_topics(place, "relay")
    command = [sys.executable, "-m", "tests.benchmarks.serving.relay", _kafka(place), *names]
    with _running(RELAY, names, [_process(place, "relay", command)]) as contestant:
        yield contestant


@contextmanager
def plain(place: Place) -> Iterator[Contestant]:
    """Run one plain consumer, whose XGBoost may use all cores."""
    with _plain(PLAIN, place, "plain", 1) as contestant:
        yield contestant


@contextmanager
def plain_a_core(place: Place) -> Iterator[Contestant]:
    """Run as many plain consumers as there are cores and partitions, in one group."""
    with _plain(PLAIN_A_CORE, place, "plains", min(place.cores, place.partitions)) as contestant:
        yield contestant


@contextmanager
def micro_batch(place: Place) -> Iterator[Contestant]:
    """Run the same model in Spark's micro-batches, with twice the memory of the project's server."""
    names, folder = _own_topics(place, "micro-batch"), place.home / "micro-batch"
    told = (*names, str(place.version), str(place.cores), "1g", str(folder))
    command = [sys.executable, "-m", "tests.benchmarks.serving.micro_batch", *told]
    with _running(MICRO_BATCH, names, [_process(place, "micro-batch", command)]) as contestant:
        yield contestant


@contextmanager
def serving(place: Place) -> Iterator[Contestant]:
    """Run one server of this project."""
    with _server(place, "serving", "active") as contestant:
        yield contestant


@contextmanager
def standby(place: Place) -> Iterator[Contestant]:
    """Run a warm standby of the server that is there."""
    with _server(place, "standby", "standby") as contestant:
        yield contestant


@contextmanager
def _server(place: Place, label: str, role: str) -> Iterator[Contestant]:
    environment = {"PIPELINES_HOME": str(place.home), "MODEL_VERSION": str(place.version)}
    process = _process(place, label, [sys.executable, "-m", "spark_apps.serving"], **environment)

    def ready() -> bool:
        return any(one.role == role for one in audit.servers(_kafka(place)))

    with _running(SERVING, (topics.LISTINGS, topics.PREDICTIONS), [process], ready) as contestant:
        yield contestant


#: All of them by the names that the command line knows.
ALL: dict[str, Start] = {
    "relay": relay,
    "plain": plain,
    "plain-a-core": plain_a_core,
    "micro-batch": micro_batch,
    "project": serving,
}


@contextmanager
def _plain(name: str, place: Place, label: str, processes: int) -> Iterator[Contestant]:
    names, threads = _own_topics(place, label), max(1, place.cores // processes)
    module = "tests.benchmarks.serving.plain.consumer"
    command = [str(BENCH_PYTHON), "-m", module, _kafka(place), *names, str(place.plain), str(threads)]
    started = [_process(place, f"{label}-{number}", command, **_PLAINS) for number in range(processes)]
    with _running(name, names, started) as contestant:
        yield contestant


@contextmanager
def _running(
    name: str,
    names: tuple[str, str],
    processes: list[ManagedProcess],
    ready: Callable[[], bool] | None = None,
) -> Iterator[Contestant]:
    """Run processes once they are ready: unless told how to know, when each has said so in its log."""
    with ExitStack() as stack:
        for process in processes:
            process.log_file.unlink(missing_ok=True)  # of an earlier run
            process.start()
            stack.callback(process.stop, _GRACE_S)
        for process in processes:
            process.wait_until_ready(ready or _says_so(process), _START_S)
        yield Contestant(name, *names, tuple(processes))


def _says_so(process: ManagedProcess) -> Callable[[], bool]:
    return lambda: "ready" in process.tail().splitlines()


def _process(place: Place, label: str, command: list[str], **environment: str) -> ManagedProcess:
    known = os.environ | place.servers.environment() | {"LOG_FORMAT": "json"}
    return ManagedProcess(label, command, log_file=place.logs / f"{label}.log", env=known | environment)


def _own_topics(place: Place, label: str) -> tuple[str, str]:
    names = (f"bench.{label}.requests", f"bench.{label}.answers")
    config = {"message.timestamp.type": "LogAppendTime"}
    admin = AdminClient({"bootstrap.servers": _kafka(place)})
    made = admin.create_topics([NewTopic(name, place.partitions, 1, config=config) for name in names])
    for future in made.values():
        future.result(30)
    return names


def _kafka(place: Place) -> str:
    return place.servers.kafka_bootstrap_servers
