"""Processes named so that a reused id is not taken for an old one, and ended so that they are gone."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

log = structlog.get_logger()

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PR_SET_PDEATHSIG = 1


class SurvivorError(RuntimeError):
    """A process did not go away after SIGKILL; the message names it."""


@dataclass(frozen=True)
class Process:
    """A process of this machine: its id and its birth, in the kernel's own words (boot, ticks since)."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process that has this id now, or None."""
        try:
            # The name in parentheses may hold anything; 19 fields after it comes the start time.
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, f"{_BOOT.read_text().strip()}/{fields[19]}")

    @classmethod
    def this(cls) -> Process:
        """Return this very process."""
        found = cls.of(os.getpid())
        assert found is not None  # noqa: S101 - whoever asks is alive
        return found

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; a zombie, which holds no socket, does not."""
        return Process.of(self.pid) == self


def end(processes: Iterable[Process], *, timeout_s: float = 10) -> list[Process]:
    """SIGKILL those that still run and return them once they are gone.

    They need not be children: a process file descriptor tells when the last of their threads has ended,
    which is when their sockets are closed, and keeps a reused id from being hit. Raises
    :class:`SurvivorError` after ``timeout_s``.
    """
    found = [(process, _descriptor(process)) for process in processes]
    running = [(process, descriptor) for process, descriptor in found if descriptor is not None]
    for _, descriptor in running:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    for process, descriptor in running:
        if not wait(descriptor, timeout_s):
            raise SurvivorError(f"process {process.pid} is still there {timeout_s:.0f} s after SIGKILL")
        os.close(descriptor)
    return [process for process, _ in running]


def wait(descriptor: int, timeout_s: float | None = None) -> bool:
    """Wait until the process behind a process file descriptor has ended; False when it has not by then."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def _descriptor(process: Process) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if process.is_alive:  # looked at after opening: from here on the descriptor means this very process
        return descriptor
    os.close(descriptor)
    return None


def die_with_parent(parent: int) -> None:
    """Have the kernel send this process SIGTERM when ``parent``, which started it, ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(f"the parent, process {parent}, is gone")
