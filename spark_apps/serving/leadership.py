"""Who may answer: one server at a time.

``acquire`` returns when nobody else can answer any more, which is more than holding a lock: a server is
two processes, and the JVM of a killed one outlives it for a moment.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from spark_apps.serving.processes import Process, end

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()


class Leader(BaseModel):
    """The server that leads: its name, its processes (Python and JVM) and its epoch."""

    model_config = ConfigDict(frozen=True)
    server: str
    epoch: int
    processes: tuple[Process, ...] = ()


class Leadership(Protocol):
    """How servers agree on the one that answers."""

    def acquire(self) -> Leader | None:
        """Block until nobody else can answer, and return who led before, when that is known."""

    def proclaim(self, leader: Leader) -> None:
        """Leave the name, processes and epoch for the successor. Comes before the first answer."""

    def release(self) -> None:
        """Let the next server lead. Comes after the own JVM is gone."""


class FileLeadership:
    """Leadership on one machine: the kernel's lock on a file, which ends with the process that holds it.

    Blocks in ``flock`` rather than asking again and again: the kernel wakes a standby at once. Beside the
    lock lies ``leader.json``, by which a successor finds and ends what survives of the dead.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._record = folder / "leader.json"
        self._leads: Leader | None = None
        # Python's descriptors are not inherited: the JVM cannot keep the lock of a dead Python process.
        self._lock = os.open(folder / "leader.lock", os.O_RDWR | os.O_CREAT, 0o644)

    def acquire(self) -> Leader | None:
        """Block until the lock is ours, then end the processes of whoever held it."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        predecessor = self._read()
        if predecessor and (survivors := end(predecessor.processes)):
            log.info("leadership.fenced", server=predecessor.server, pids=[one.pid for one in survivors])
        return predecessor

    def proclaim(self, leader: Leader) -> None:
        """Write the record in one step, so that a successor reads the old or the new one."""
        fresh = self._record.with_suffix(".new")
        fresh.write_text(leader.model_dump_json(), encoding="utf-8")
        fresh.replace(self._record)
        self._leads = leader

    def release(self) -> None:
        """Unlock, with nothing left to end: this process may still have things to say."""
        if self._leads is not None:
            self.proclaim(self._leads.model_copy(update={"processes": ()}))
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _read(self) -> Leader | None:
        try:
            return Leader.model_validate_json(self._record.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.warning("leadership.record_unreadable", path=str(self._record), reason=str(error))
            return None
