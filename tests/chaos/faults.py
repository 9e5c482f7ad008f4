"""The faults: what happens, for how long, and what undoes it. To add one, write it down here."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.system import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.chaos.sender import Sender
    from tests.chaos.system import System


_IN_FLIGHT_S = 0.3  # for answers to come to stand in the network


@dataclass(frozen=True)
class Fault:
    """Begins when its context is entered, and is undone when it is left; lasts seconds (least, most)."""

    happen: Callable[[System, Sender], AbstractContextManager[None]]
    lasts: tuple[float, float] = (0.0, 0.0)


FAULTS: dict[str, Fault] = {}


def _fault(
    name: str, lasts: tuple[float, float] = (0.0, 0.0)
) -> Callable[[Callable[[System, Sender], Iterator[None]]], None]:
    def keep(steps: Callable[[System, Sender], Iterator[None]]) -> None:
        FAULTS[name] = Fault(contextmanager(steps), lasts)

    return keep


@_fault("active: SIGTERM")
def _terminated(system: System, _: Sender) -> Iterator[None]:
    if server := system.active():
        system.send(signal.SIGTERM, server.python)
    yield


@_fault("active: SIGKILL")
def _killed(system: System, _: Sender) -> Iterator[None]:
    if server := system.active():
        system.send(signal.SIGKILL, *server.processes)
    yield


@_fault("active: SIGKILL of Python")
def _python_killed(system: System, _: Sender) -> Iterator[None]:
    if server := system.active():
        system.send(signal.SIGKILL, server.python)
    yield


@_fault("active: SIGKILL of the JVM")
def _jvm_killed(system: System, _: Sender) -> Iterator[None]:
    if server := system.active():
        system.send(signal.SIGKILL, server.jvm)
    yield


@_fault("active: paused", lasts=(1, 8))
def _paused(system: System, _: Sender) -> Iterator[None]:
    server = system.active()
    with system.paused(*(server.processes if server else [])):
        yield


@_fault("active: Python paused, then killed", lasts=(1, 3))
def _lame(system: System, _: Sender) -> Iterator[None]:
    # The JVM goes on answering while nobody keeps the marker or sees to its end.
    if server := system.active():
        system.send(signal.SIGSTOP, server.python)
        yield
        system.send(signal.SIGKILL, server.python)
    else:
        yield


@_fault("active: JVM paused, Python killed")
def _zombie(system: System, _: Sender) -> Iterator[None]:
    if server := system.active():
        system.send(signal.SIGSTOP, server.jvm)
        system.send(signal.SIGKILL, server.python)
    yield


@_fault("active: hangs", lasts=(25, 25))
def _hung(system: System, _: Sender) -> Iterator[None]:
    server = system.active()
    with system.paused(*(server.processes if server else [])):
        yield


@_fault("standby: SIGKILL")
def _standby_killed(system: System, _: Sender) -> Iterator[None]:
    if server := system.standby():
        system.send(signal.SIGKILL, *server.processes)
    yield


@_fault("standby: paused", lasts=(1, 8))
def _standby_paused(system: System, _: Sender) -> Iterator[None]:
    server = system.standby()
    with system.paused(*(server.processes if server else [])):
        yield


@_fault("standby: hangs, active: SIGKILL", lasts=(25, 25))
def _no_successor(system: System, _: Sender) -> Iterator[None]:
    standby, active = system.standby(), system.active()
    with system.paused(*(standby.processes if standby else [])):
        system.send(signal.SIGKILL, *(active.processes if active else []))
        yield


@_fault("both: SIGKILL")
def _all_killed(system: System, _: Sender) -> Iterator[None]:
    for server in (system.standby(), system.active()):
        system.send(signal.SIGKILL, *(server.processes if server else []))
    yield


@_fault("broker: paused", lasts=(1, 12))
def _broker_paused(system: System, _: Sender) -> Iterator[None]:
    with system.paused(system.broker_process):
        yield


@_fault("broker: SIGKILL", lasts=(0, 5))
def _broker_killed(system: System, _: Sender) -> Iterator[None]:
    with system.broker_away():
        yield


@_fault("broker: paused, active: SIGKILL", lasts=(1, 5))
def _killed_in_the_dark(system: System, _: Sender) -> Iterator[None]:
    server = system.active()
    with system.paused(system.broker_process):
        system.send(signal.SIGKILL, *(server.processes if server else []))
        yield


@_fault("network: cut", lasts=(0, 8))
def _cut(system: System, _: Sender) -> Iterator[None]:
    with system.proxy.cut():
        yield


@_fault("network: slow", lasts=(3, 8))
def _slow(system: System, _: Sender) -> Iterator[None]:
    with system.proxy.slow(0.1):
        yield


@_fault("network: stalls, active: SIGKILL", lasts=(0.2, 3))
def _in_flight(system: System, sender: Sender) -> Iterator[None]:
    # What the dead one has sent arrives while its successor looks where to go on, or after it has.
    server = system.active()
    with system.proxy.stalled(), sender.flood(3):
        time.sleep(_IN_FLIGHT_S)
        system.send(signal.SIGKILL, *(server.processes if server else []))
        yield


@_fault("listings: garbage", lasts=(2, 6))
def _garbage(_: System, sender: Sender) -> Iterator[None]:
    with sender.garbage(300):
        yield


@_fault("listings: ten times the rate", lasts=(2, 4))
def _flood(_: System, sender: Sender) -> Iterator[None]:
    with sender.flood(10):
        yield


@_fault("rollout")
def _rollout(system: System, _: Sender) -> Iterator[None]:
    system.roll_out_the_other()
    yield
    until(system.answers_by_the_wanted, f"an answer by version {system.wants}")
