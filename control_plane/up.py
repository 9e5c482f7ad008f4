"""The embedded system: everything as processes of this machine, until it is interrupted."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import requests
import structlog

from control_plane import audit
from control_plane.app import heartbeat_file
from control_plane.launchers import job_runner
from control_plane.sandbox.java import java_home
from control_plane.sandbox.layout import Layout
from control_plane.sandbox.processes import ManagedProcess
from control_plane.sandbox.sandbox import Sandbox
from control_plane.settings import ControlPlane, Topics, load
from control_plane.topics import ensure_topics
from control_plane.web import address
from control_plane.web.settings import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

    from control_plane.settings import Servers

log = structlog.get_logger()

_READY_TIMEOUT_S = 180.0
_STOP_GRACE_S = 20.0
_CLI = [sys.executable, "-m", "control_plane.cli"]


@dataclass(frozen=True)
class App:
    """A program of the system. It is ready when ``ready(system)`` holds; from its start on unless given."""

    name: str
    command: Sequence[str]
    ready: Callable[[System], bool] = lambda _: True


@dataclass(frozen=True)
class System:
    """A running embedded system: where its servers answer, where its state is, and since when (Unix time)."""

    servers: Servers
    home: Path
    since: float
    apps: Sequence[tuple[App, ManagedProcess]]

    def wait_until_ready(self) -> None:
        """Wait until every app does its work. Raises as :func:`embedded_system` does."""
        for app, process in self.apps:
            process.wait_until_ready(partial(app.ready, self), _READY_TIMEOUT_S)
            log.info("up.ready", app=app.name, seconds=round(time.time() - self.since, 1))

    @property
    def page(self) -> str | None:
        """Where the page that shows it all is, once it has come up."""
        file = address.remembered(self.home)
        fresh = file.exists() and file.stat().st_mtime >= self.since
        return address.page(load(Web), self.home) if fresh else None

    def log_file(self, name: str) -> Path:
        """Return the log of one of its programs."""
        return self.home / "logs" / f"{name}.log"


def _consumes(system: System) -> bool:
    return _beats(heartbeat_file(load(ControlPlane), system.home), system)


def _measures(system: System) -> bool:
    return _beats(_monitoring_heartbeat(system.home), system)


def _beats(heartbeat: Path, system: System) -> bool:
    return heartbeat.exists() and heartbeat.stat().st_mtime >= system.since


def _monitoring_heartbeat(home: Path) -> Path:
    return home / "monitoring.heartbeat"


def _serves(system: System) -> bool:
    servers = audit.servers(system.servers.kafka_bootstrap_servers)
    return any(
        server.role in {"active", "standby"} and server.since.timestamp() >= system.since
        for server in servers
    )


def _shows(system: System) -> bool:
    try:
        return system.page is not None and requests.get(f"{system.page}/healthz", timeout=1).ok
    except requests.RequestException:
        return False


CONTROL_PLANE = App("control-plane", [*_CLI, "control-plane"], _consumes)
WATCHERS = App("watchers", [*_CLI, "watch", "all", "--every", "3"])
SERVING = App("serving", [sys.executable, "-m", "spark_apps.serving.supervisor"], _serves)
# Answers come first, then what is measured of them; a training (see job_runner) comes after both.
MONITORING = App("monitoring", ["nice", "-n", "5", sys.executable, "-m", "spark_apps.monitoring"], _measures)
# Costs next to nothing until `pipelines shadow` asks for one.
SHADOW = App("shadow", ["nice", "-n", "5", sys.executable, "-m", "spark_apps.serving.shadow"])
WEB = App("web", ["nice", "-n", "5", *_CLI, "web"], _shows)
ALL = (SERVING, MONITORING, CONTROL_PLANE, WATCHERS, WEB, SHADOW)


@contextmanager
def embedded_system(home: Path, apps: Sequence[App] = ALL) -> Iterator[System]:
    """Run the servers and the apps; everything is gone when the context ends, or this process does.

    The servers answer from the start; the apps have just been started.

    Raises :class:`control_plane.sandbox.errors.SandboxError` when something does not come up.
    """
    home = home.absolute()
    since = time.time()
    with ExitStack() as stack:
        sandbox = Sandbox(home)
        servers = stack.enter_context(sandbox)
        for process in sandbox.processes:
            process.keep_alive()
        ensure_topics(servers.kafka_bootstrap_servers, load(Topics))
        lifeline = stack.enter_context(_lifeline(home))
        environment = os.environ | servers.environment() | _environment(home, lifeline)
        started = [(app, _process(app, home, environment)) for app in apps]
        system = System(servers, home, since, started)
        stack.callback(_stop, [process for _, process in started])
        for _, process in started:
            process.start()
        yield system


def _environment(home: Path, lifeline: Path) -> dict[str, str]:
    return {
        "PIPELINES_HOME": str(home),
        "TMPDIR": str(Layout(home).scratch),  # what a killed app leaves goes with the servers' own
        "MONITORING_HEARTBEAT": str(_monitoring_heartbeat(home)),
        "JAVA_HOME": str(java_home()),
        job_runner.LIFELINE: str(lifeline),
    }


def _process(app: App, home: Path, environment: Mapping[str, str]) -> ManagedProcess:
    log_file = home / "logs" / f"{app.name}.log"
    return ManagedProcess(app.name, app.command, log_file=log_file, env=environment, restart=True)


def _stop(processes: Sequence[ManagedProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.stop(_STOP_GRACE_S)


@contextmanager
def _lifeline(home: Path) -> Iterator[Path]:
    """Hold a lock that the jobs' runners wait for: the kernel releases it however this process ends."""
    path = home / "lifeline"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield path


class _Interrupted(BaseException):
    """SIGINT or SIGTERM came. No Exception, so that nothing but the end of the program takes it up."""


def run(home: Path, apps: Sequence[App] = ALL) -> None:
    """Run the system until SIGINT or SIGTERM; say on standard output where its servers are."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with embedded_system(home, apps) as system:
            system.wait_until_ready()
            lines = (f"{name}={value}\n" for name, value in system.servers.environment().items())
            sys.stdout.writelines(lines)
            sys.stdout.flush()
            log.info("up.running", page=system.page, home=str(system.home), stop="Ctrl-C")
            while True:
                signal.pause()
    except _Interrupted:
        log.info("up.stopped")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # once is enough: stopping has its own limit in time
    log.info("up.stopping")
    raise _Interrupted
