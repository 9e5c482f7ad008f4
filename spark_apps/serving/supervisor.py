"""Keeps one active server and its warm standbys on this machine, and hands over at every rollout.

In Kubernetes the Deployment does this. Here it follows ``control.models`` for what is wanted and
``control.servers`` for what its servers say of themselves, and keeps nothing of its own: started again, it
reads both from their beginning.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from control_plane import audit, events, logs
from control_plane.settings import Home, Servers, Topics, load
from control_plane.topics import CONTROL_MODELS, CONTROL_SERVERS, ensure_topics
from spark_apps.serving import processes, scratch
from spark_apps.serving.announcements import Announcements
from spark_apps.serving.processes import Process
from spark_apps.serving.pulse import Pulse
from spark_apps.serving.rollover import Role, Server, Start, Step, Stop, Wanted, next_steps
from spark_apps.serving.settings import Serving

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from confluent_kafka import Message

log = structlog.get_logger()

_NAME = f"{socket.gethostname()}-server"
_POLL_S = 0.2
_STOP_GRACE_S = 10.0
_TIMEOUT_S = 30.0
_BACKOFF_S = (0.0, 1.0, 5.0, 15.0, 30.0)
_COMMAND = (sys.executable, "-m", "spark_apps.serving")


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    version: int | None
    pulse: Pulse
    role: Role = "starting"
    pids: tuple[int, ...] = ()
    gone_by: float = float("inf")

    def ready(self, role: Role) -> None:
        """Take that it stands by or leads; from then on it gives signs of life."""
        if self.role == "starting":  # which may have taken longer than one that hangs is waited for
            self.pulse.expect()
        self.role = role

    @property
    def silent_s(self) -> float:
        """For how long a server that is ready has given no sign of life."""
        return self.pulse.silent_s() if self.role in {"standby", "active"} else 0.0

    def kill(self) -> None:
        """End both of its processes; the JVM of one that hangs may hang too, and not see that it is alone."""
        found = [Process.of(pid) for pid in (*self.pids, self.process.pid)]
        try:
            processes.end([process for process in found if process])
        except processes.SurvivorError as error:  # the next look tries again
            log.warning("server.survives", reason=str(error))


class Fleet:
    """The servers that run as children of this process, each by ``command``."""

    def __init__(
        self,
        announcements: Announcements,
        settings: Serving,
        folder: Path,
        command: tuple[str, ...] = _COMMAND,
    ) -> None:
        self._announcements = announcements
        self._command = command
        self._scratch = settings.scratch
        self._heartbeat = settings.heartbeat
        self._hung_after_s = settings.hung_after_s
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for heartbeat in folder.glob("*.heartbeat"):  # of an earlier supervisor's servers
            heartbeat.unlink()
        self._children: dict[str, _Child] = {}
        self._started = 0
        self._crashes: Counter[int | None] = Counter()
        self._not_before = 0.0

    @property
    def servers(self) -> list[Server]:
        """The servers that run."""
        return [Server(name, child.version, child.role) for name, child in self._children.items()]

    def hear(self, said: events.ServerAnnouncement) -> None:
        """Take what a server says of itself; one that is stopping has nothing to say any more."""
        child = self._children.get(said.server)
        if child is None or child.role == "stopping" or said.model_version is None:
            return
        child.version, child.pids = said.model_version, tuple(said.pids)
        if said.role in {"standby", "active"}:
            child.ready("active" if said.role == "active" else "standby")
            self._crashes[child.version] = 0

    def reap(self) -> None:
        """Forget the servers that have ended; one that was not told to makes the next start wait longer."""
        for name, child in list(self._children.items()):
            code = child.process.poll()
            if code is None:
                self._see_to(name, child)
                continue
            del self._children[name]
            self._clean_up_after(name)
            log.info("server.ended", server=name, model_version=child.version, code=code)
            if child.role == "starting":
                self._crashes[child.version] += 1
                wait = _BACKOFF_S[min(self._crashes[child.version], len(_BACKOFF_S) - 1)]
                self._not_before = time.monotonic() + wait

    def _see_to(self, name: str, child: _Child) -> None:
        """End one that does not go when it is told to, or hangs: nobody else could take over from it."""
        if (silent_s := child.silent_s) > self._hung_after_s:
            log.warning("server.hangs", server=name, role=child.role, silent_s=round(silent_s, 1))
            child.kill()
        elif time.monotonic() > child.gone_by:
            child.kill()
        elif self._heartbeat and child.role != "stopping" and child.pulse.beats:
            self._heartbeat.touch()

    def take(self, step: Step) -> None:
        """Do one step."""
        if isinstance(step, Stop):
            child = self._children[step.name]
            child.role, child.gone_by = "stopping", time.monotonic() + _STOP_GRACE_S
            child.process.terminate()
            log.info("server.stopping", server=step.name)
        elif time.monotonic() >= self._not_before:
            self._start(step)

    def _start(self, step: Start) -> None:
        self._started += 1
        name = f"{_NAME}-{os.getpid()}-{self._started}"
        pulse = Pulse(self._folder / f"{name}.heartbeat")
        environment = os.environ | {
            "SERVING_SERVER": name,
            "SERVING_PARENT": str(os.getpid()),
            "SERVING_HEARTBEAT": str(pulse.file),
        }
        if step.version is not None:
            environment["MODEL_VERSION"] = str(step.version)
        self._children[name] = _Child(subprocess.Popen(self._command, env=environment), step.version, pulse)
        log.info("server.started", server=name, model_version=step.version)

    def _clean_up_after(self, name: str) -> None:
        """Do for a server what it may not have come to itself: say that it is gone, and remove its files."""
        self._announcements.bury(name)
        (self._folder / f"{name}.heartbeat").unlink(missing_ok=True)
        scratch.sweep(self._scratch)

    def close(self) -> None:
        """Stop all servers, standbys first, and wait until they are gone."""
        for child in sorted(self._children.values(), key=lambda child: child.role == "active"):
            child.process.terminate()
        deadline = time.monotonic() + _STOP_GRACE_S
        for name, child in self._children.items():
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.process.wait()
            self._clean_up_after(name)
        self._announcements.flush()


def supervise(bootstrap_servers: str, settings: Serving) -> None:
    """Bring what runs to what is wanted, again and again, until SIGTERM."""
    ensure_topics(bootstrap_servers, load(Topics))
    announcements = Announcements(bootstrap_servers, f"{_NAME}-{os.getpid()}")
    bury_the_dead(bootstrap_servers, announcements)
    fleet = Fleet(announcements, settings, load(Home).pipelines_home / "serving")
    wanted, caught_up = Wanted(), False
    with closing(_consumer(bootstrap_servers)) as consumer, closing(fleet):
        while True:
            message = consumer.poll(_POLL_S)
            if message is not None and (error := message.error()) is not None:
                # Until the end is reached, events say what was wanted once, not what is.
                caught_up |= error.code() == KafkaError._PARTITION_EOF and message.topic() == CONTROL_MODELS
            elif message is not None:
                wanted = _hear(message, wanted, fleet)
            if caught_up:
                fleet.reap()
                for step in next_steps(wanted, fleet.servers, settings.standbys):
                    fleet.take(step)


def bury_the_dead(bootstrap_servers: str, announcements: Announcements) -> None:
    """Take back what the servers of earlier supervisors here said last: they died with them."""
    for said in audit.servers(bootstrap_servers):
        if said.server.startswith(f"{_NAME}-"):
            announcements.bury(said.server)


def _consumer(bootstrap_servers: str) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "serving-supervisor",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    # Of the servers only those that this process starts are looked at, so their past does not matter.
    end = consumer.get_watermark_offsets(TopicPartition(CONTROL_SERVERS, 0), timeout=_TIMEOUT_S)[1]
    consumer.assign(
        [TopicPartition(CONTROL_MODELS, 0, OFFSET_BEGINNING), TopicPartition(CONTROL_SERVERS, 0, end)]
    )
    return consumer


def _hear(message: Message, wanted: Wanted, fleet: Fleet) -> Wanted:
    value = message.value()
    try:
        if message.topic() == CONTROL_MODELS:
            after = wanted.after(events.decode(value).event)
            if after.version != wanted.version:
                log.info("supervisor.wants", model_version=after.version, instead_of=wanted.version)
            return after
        if value is not None:
            fleet.hear(events.ServerAnnouncement.decode(value))
    except events.EventError as error:
        log.warning(
            "supervisor.unreadable", topic=message.topic(), offset=message.offset(), reason=str(error)
        )
    return wanted


def _on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def main() -> None:
    """Supervise the servers of this machine."""
    logs.configure()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    supervise(load(Servers).kafka_bootstrap_servers, load(Serving))


if __name__ == "__main__":
    main()
