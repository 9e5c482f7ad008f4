"""What the supervisor does next: a pure function from what is wanted and what runs to the next steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from control_plane import events

if TYPE_CHECKING:
    from collections.abc import Sequence

Role = Literal["starting", "standby", "active", "stopping"]


@dataclass(frozen=True)
class Wanted:
    """The version that shall answer, and the one to go back to if it does not come to answer."""

    version: int | None = None
    fallback: int | None = None

    def after(self, event: events.Event) -> Wanted:
        """Return what is wanted once ``event`` of ``control.models`` has happened."""
        if isinstance(event, events.RolloutStarted):
            return Wanted(event.version, event.replaces)
        if isinstance(event, events.RolloutFailed) and event.version == self.version:
            return Wanted(self.fallback, None)
        if isinstance(event, events.RolloutSucceeded) and event.version == self.version:
            return replace(self, fallback=None)
        return self


@dataclass(frozen=True)
class Server:
    """A server that runs; without a version it waits for the first, and takes the newest there is."""

    name: str
    version: int | None
    role: Role


@dataclass(frozen=True)
class Start:
    """Start a server of the version, or one that waits for the first."""

    version: int | None


@dataclass(frozen=True)
class Stop:
    """Send the server SIGTERM."""

    name: str


Step = Start | Stop


def next_steps(wanted: Wanted, servers: Sequence[Server], standbys: int) -> list[Step]:
    """Return what to do now; called again whenever something has changed, until there is nothing left to do.

    Before the first rollout one server waits with Spark up. The old version answers until one server of the
    new stands by. Then its standbys go first, so that none of them takes over when its active server goes.
    One server starts at a time: a start is all CPU.
    """
    new = [s for s in servers if s.version in {wanted.version, None} and s.role != "stopping"]
    old = [server for server in servers if server not in new]
    if any(server.role in {"standby", "active"} for server in new):
        return _retire(old) or _start(wanted.version, new, standbys if not old else 0)
    useless: list[Step] = [Stop(server.name) for server in old if server.role == "starting"]
    return useless or _start(wanted.version, new, 0)


def _retire(old: Sequence[Server]) -> list[Step]:
    behind: list[Step] = [Stop(server.name) for server in old if server.role in {"starting", "standby"}]
    if any(server.role != "active" for server in old):
        return behind
    return [Stop(server.name) for server in old]


def _start(version: int | None, new: Sequence[Server], standbys: int) -> list[Step]:
    if len(new) > standbys or any(server.role == "starting" for server in new):
        return []
    if new and not any(server.role == "active" for server in new):
        return []  # one of them is about to lead: it shall not share the processors with a start
    return [Start(version)]
