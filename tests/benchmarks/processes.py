"""A command run to its end, with what it took: time, processor time and memory of all its processes."""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from control_plane.sandbox.processes import ManagedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_EVERY_S = 0.2
_OF_ITS_OWN = 0.9  # the share of resident pages from which on there is no second one of the same process
_LINES, _LONGEST_LINE = 5, 300


class BenchmarkError(RuntimeError):
    """A part of a benchmark failed or took too long; the message says which, and has the end of its log."""


@dataclass(frozen=True)
class Usage:
    """What a command took; ``peak_bytes`` is the most that its processes held at one time (PSS)."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measured(
    name: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log_file: Path,
    limit_s: float,
    on_line: Callable[[str], None] = lambda _: None,
) -> Usage:
    """Run ``command`` to its end and measure it; every line that it logs goes to ``on_line``.

    It ends with this process, and after ``limit_s``. Raises: :class:`BenchmarkError` unless it succeeds.
    """
    log_file.unlink(missing_ok=True)  # of an earlier run
    process = ManagedProcess(name, command, log_file=log_file, env=env)
    before, begun, rest = _cpu_seconds(), time.monotonic(), ""
    process.start()
    peak = _Peak(process.pid)
    try:
        with log_file.open(errors="replace") as log:
            while (status := process.poll()) is None:
                peak.look()
                rest = _pass_on(rest + log.read(), on_line)
                if time.monotonic() > begun + limit_s:
                    raise BenchmarkError(f"{name} was stopped: it took more than {limit_s:,.0f} s")
                time.sleep(_EVERY_S)
            seconds = time.monotonic() - begun
            _pass_on(rest + log.read(), on_line)
    finally:
        process.stop()  # with all that it started
    if status != 0:
        raise BenchmarkError(f"{name} failed with status {status}; the end of its log:\n{_tail(process)}")
    return Usage(seconds, _cpu_seconds() - before, peak.held)


@dataclass
class _Peak:
    """The most memory that a process and its descendants have held so far, in bytes.

    Pages that several of them have count once: a JVM that starts a command is there twice for a moment. To
    count so takes 0.1 s of a process of 8 GB, so it is done only where more is resident than ever before.
    """

    pid: int | None
    held: int = 0
    resident: int = 0

    def look(self) -> None:
        """Take in what they hold now."""
        resident = resident_bytes(self.pid)
        if resident > self.resident:
            held = proportional_bytes(self.pid)
            self.held = max(self.held, held)
            if held > _OF_ITS_OWN * resident:
                self.resident = resident


def resident_bytes(pid: int | None) -> int:
    """Return the memory that a process and its descendants have resident now, in bytes."""
    return _of_all(pid, lambda process: process.memory_info().rss)


def proportional_bytes(pid: int | None) -> int:
    """Return the same with pages that several processes have counted once, each of them a share (PSS)."""
    return _of_all(pid, lambda process: process.memory_full_info().pss)


def _of_all(pid: int | None, held: Callable[[psutil.Process], int]) -> int:
    """Add up what a process and its descendants hold; those that have just ended hold nothing."""
    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += held(process)
    return total


def _pass_on(text: str, on_line: Callable[[str], None]) -> str:
    """Give every whole line to ``on_line`` and return what is left."""
    *lines, rest = text.split("\n")
    for line in lines:
        on_line(line)
    return rest


def _tail(process: ManagedProcess) -> str:
    """Return the last lines of a process's log, of each its end: where tracebacks say what it was."""
    return "\n".join(line[-_LONGEST_LINE:] for line in process.tail(_LINES).splitlines())


def _cpu_seconds() -> float:
    """Return the processor time of all children that have ended, with that of theirs."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime
