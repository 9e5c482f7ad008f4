"""What is put to the test: Kafka behind a proxy, MLflow, and the supervisor with two servers."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mlflow
import psutil

from control_plane import audit
from control_plane.events import RolloutStarted
from control_plane.sandbox.java import java_home
from control_plane.sandbox.jvm import Jvm
from control_plane.sandbox.kafka import KafkaBroker
from control_plane.sandbox.layout import Layout
from control_plane.sandbox.machine import HOST, choose_ports
from control_plane.sandbox.mlflow import MlflowServer
from control_plane.sandbox.processes import ManagedProcess
from control_plane.settings import Topics
from control_plane.topics import ensure_topics
from spark_apps.serving.leadership import Leader
from tests.chaos.proxy import Proxy
from tests.registering import register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.ml import PipelineModel

    from control_plane.events import ServerAnnouncement

PARTITIONS = 2
_MODEL = "used-car-price-chaos"
_PORTS = (*KafkaBroker.ports, "kafka_outside", "kafka_proxy", *MlflowServer.ports)
_START_S = 120.0
_LOOK_S = 0.2


class ChaosError(RuntimeError):
    """The campaign itself cannot go on; the message says what did not come."""


@dataclass(frozen=True)
class Server:
    """A serving server as the machine has it; its JVM is missing while it starts."""

    python: psutil.Process
    jvm: psutil.Process | None

    @property
    def processes(self) -> list[psutil.Process]:
        """Both, as far as they are there."""
        return [self.python, *([self.jvm] if self.jvm else [])]


@dataclass
class System:
    """The running system, and the handles that faults take hold of."""

    kafka: str
    home: Path
    broker: ManagedProcess
    proxy: Proxy
    supervisor: ManagedProcess
    versions: list[int]
    environment: dict[str, str]
    wants: int = 0
    rollouts: int = 0
    hit: list[str] = field(default_factory=list)

    def active(self) -> Server | None:
        """Return the server that leads by the record that it left; None while nobody does."""
        with suppress(FileNotFoundError):
            leader = Leader.model_validate_json((self.home / "serving" / "leader.json").read_bytes())
            ours = {process.pid for process in leader.processes}
            return next((server for server in self._servers() if server.python.pid in ours), None)
        return None

    def standby(self) -> Server | None:
        """Return a server that does not lead, if there is one."""
        leads = self.active()
        return next((one for one in self._servers() if leads is None or one.python != leads.python), None)

    def _servers(self) -> list[Server]:
        children = psutil.Process(self.supervisor.pid).children()
        return [Server(child, _jvm_of(child)) for child in children if _runs(child)]

    @property
    def broker_process(self) -> psutil.Process | None:
        """The broker's process; None while there is none."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.broker.pid)
        return None

    def send(self, number: signal.Signals, *processes: psutil.Process | None) -> None:
        """Send a signal to those that are still there."""
        for process in processes:
            if process is not None:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
                    self.hit.append(f"{number.name} {process.pid}")

    @contextmanager
    def paused(self, *processes: psutil.Process | None) -> Iterator[None]:
        """Stop them while the context lasts; those that were killed meanwhile stay dead."""
        self.send(signal.SIGSTOP, *processes)
        try:
            yield
        finally:
            self.send(signal.SIGCONT, *reversed(processes))

    def roll_out_the_other(self) -> None:
        """Want the other version from now on."""
        replaces = self.wants
        self.wants = next(version for version in self.versions if version != replaces)
        self._want(replaces)

    def _want(self, replaces: int | None) -> None:
        self.rollouts += 1
        event = RolloutStarted(version=self.wants, rollout=self.rollouts, replaces=replaces)
        audit.publish(self.kafka, event, source="/tests/chaos")

    def begin(self) -> None:
        """Want the first version."""
        self.wants = self.versions[0]
        self._want(None)

    def is_ready(self) -> bool:
        """Whether a server of the wanted version leads, another is warm, and none is on its way."""
        roles = {server.pids[0]: server for server in self._announced()}
        pids = [server.python.pid for server in self._servers()]
        return all(pid in roles and roles[pid].model_version == self.wants for pid in pids) and sorted(
            roles[pid].role for pid in pids
        ) == ["active", "standby"]

    def answers_by_the_wanted(self) -> bool:
        """Whether the server that leads is of the wanted version."""
        leads = self.active()
        said = {server.pids[0]: server for server in self._announced() if server.role == "active"}
        return bool(leads and leads.python.pid in said and said[leads.python.pid].model_version == self.wants)

    def _announced(self) -> list[ServerAnnouncement]:
        try:
            return [server for server in audit.servers(self.kafka) if server.pids]
        except audit.LogUnavailableError:  # the broker is what a fault has taken away
            return []

    @contextmanager
    def broker_away(self) -> Iterator[None]:
        """Kill the broker, and start it again on the same data when the context ends."""
        self.send(signal.SIGKILL, self.broker_process)
        until(lambda: self.broker.poll() is not None, "the broker's end")
        try:
            yield
        finally:
            self.broker.start()


def until(holds: Callable[[], Any], what: str, patience_s: float = 180) -> Any:
    """Wait until ``holds`` and return what it gave. Raises :class:`ChaosError` naming what did not come."""
    give_up = time.monotonic() + patience_s
    while not (found := holds()):
        if time.monotonic() > give_up:
            raise ChaosError(f"{what} did not come in {patience_s:.0f} s")
        time.sleep(_LOOK_S)
    return found


def _jvm_of(python: psutil.Process) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        return next((child for child in python.children() if child.name() == "java"), None)
    return None


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _stop(server: KafkaBroker | MlflowServer) -> None:
    for process in server.processes:
        process.stop()


@contextmanager
def running(home: Path, model: PipelineModel) -> Iterator[System]:
    """Start everything below ``home``; all is gone when the context ends. Yields once the servers start.

    Clients of the tests speak to the broker itself; the servers reach it through the proxy.
    """
    layout = Layout(home.resolve())
    ports = choose_ports(_PORTS, layout.ports, {})
    java = java_home()
    kafka = KafkaBroker(Jvm(java, layout), ports, outside=f"{HOST}:{ports['kafka_proxy']}")
    tracking = MlflowServer(layout, ports, java)
    proxy = Proxy(ports["kafka_proxy"], ports["kafka_outside"])
    with ExitStack() as stack:
        for server in (tracking, kafka):
            stack.callback(_stop, server)
            server.prepare()
            server.start(_START_S)
        for server in (tracking, kafka):
            server.wait_until_ready(_START_S)
        stack.enter_context(proxy.running())
        ensure_topics(kafka.address, Topics(partitions=PARTITIONS))
        mlflow.MlflowClient(tracking.url).create_registered_model(_MODEL)
        versions = register(tracking.url, _MODEL, model, layout.home / "model", versions=2)
        environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{ports['kafka_proxy']}",
            "MLFLOW_TRACKING_URI": tracking.url,
            "JAVA_HOME": str(java),
            "PIPELINES_HOME": str(layout.home),
            "TMPDIR": str(layout.scratch),
            "SERVING_MODEL": _MODEL,
            "SERVING_WARMUP_BURSTS": "1",
            "SERVING_HUNG_AFTER_S": "10",
            "SERVING_SCRATCH": str(layout.scratch),
        }
        supervisor = ManagedProcess(
            "serving",
            [sys.executable, "-m", "spark_apps.serving.supervisor"],
            log_file=layout.log_file("serving"),
            env=environment,
        )
        system = System(kafka.address, layout.home, kafka.broker, proxy, supervisor, versions, environment)
        system.begin()
        stack.callback(lambda: supervisor.stop(30))
        supervisor.start()
        yield system
