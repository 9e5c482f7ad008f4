"""Kafka, HDFS and MLflow on this machine, as long as somebody needs them."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Protocol

import structlog
from filelock import FileLock, Timeout

from control_plane.sandbox.errors import SandboxError
from control_plane.sandbox.hdfs import Hdfs
from control_plane.sandbox.java import java_home
from control_plane.sandbox.jvm import Jvm
from control_plane.sandbox.kafka import KafkaBroker
from control_plane.sandbox.layout import Layout
from control_plane.sandbox.machine import await_release, check_disk, check_memory, choose_ports
from control_plane.sandbox.mlflow import MlflowServer
from control_plane.sandbox.settings import SandboxSettings
from control_plane.settings import Servers, load

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from control_plane.sandbox.processes import ManagedProcess

log = structlog.get_logger()

STOP_GRACE_S = 10
RECORDING_S = 120  # a JVM writes down the classes it loaded when it ends
RELEASE_TIMEOUT_S = 5


class Server(Protocol):
    """What the sandbox asks of each of its servers."""

    name: str

    @property
    def processes(self) -> list[ManagedProcess]: ...  # noqa: D102

    def prepare(self) -> None: ...  # noqa: D102

    def start(self, timeout_s: float) -> None: ...  # noqa: D102

    def wait_until_ready(self, timeout_s: float) -> None: ...  # noqa: D102


class Sandbox:
    """A context in which the three servers run: ``with Sandbox(home) as servers: ...``.

    Everything is below ``home`` and comes back when it is started there again. Raises
    :class:`SandboxError` where the machine cannot run it, ``home`` is in use, or a server fails to start.
    """

    def __init__(
        self, home: Path, settings: SandboxSettings | None = None, *, record_classes: bool = False
    ) -> None:
        self._layout = Layout(home.resolve())
        self._settings = settings or load(SandboxSettings)
        self._record_classes = record_classes
        self._lock = FileLock(self._layout.lock)
        self._servers: list[Server] = []

    @property
    def processes(self) -> list[ManagedProcess]:
        """The servers' processes."""
        return [process for server in self._servers for process in server.processes]

    def __enter__(self) -> Servers:
        self._take_home()
        try:
            return self._start()
        except BaseException:
            self._stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _take_home(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            owner = self._layout.owner.read_text() if self._layout.owner.exists() else "unknown"
            raise SandboxError(
                f"{self._layout.home} is in use by process {owner}: stop that one, "
                "or set PIPELINES_HOME to another folder."
            ) from None
        if self._layout.owner.exists():
            await_release(self._layout.ports, RELEASE_TIMEOUT_S)
        shutil.rmtree(self._layout.scratch)  # of the last time
        self._layout.owner.write_text(str(os.getpid()))

    def _start(self) -> Servers:
        began = time.monotonic()
        check_memory()
        check_disk(self._layout.home)
        java = java_home()
        names = (*KafkaBroker.ports, *Hdfs.ports, *MlflowServer.ports)
        ports = choose_ports(names, self._layout.ports, self._settings.demanded_ports())
        jvm = Jvm(java, self._layout, self._record_classes)
        mlflow = MlflowServer(self._layout, ports, java)
        hdfs = Hdfs(jvm, ports)
        kafka = KafkaBroker(jvm, ports)
        self._servers = [mlflow, hdfs, kafka]
        for server in self._servers:
            server.prepare()
        for server in self._servers:
            server.start(self._settings.start_timeout_s)
        for server in self._servers:
            server.wait_until_ready(self._settings.start_timeout_s)
        log.info("sandbox.ready", seconds=round(time.monotonic() - began, 1), home=str(self._layout.home))
        return Servers(
            kafka_bootstrap_servers=kafka.address, mlflow_tracking_uri=mlflow.url, hdfs_url=hdfs.url
        )

    def _stop(self) -> None:
        """End all servers, side by side."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.stop(RECORDING_S if self._record_classes else STOP_GRACE_S)
        self._layout.owner.unlink(missing_ok=True)
        self._lock.release()
