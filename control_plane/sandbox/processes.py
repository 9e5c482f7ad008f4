"""Child processes that never outlive their parent, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

import structlog

from control_plane.sandbox import die_with_parent
from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

log = structlog.get_logger()

POLL_S = 0.05
TAIL_LINES = 15

# Between the restarts of a process that ends again and again.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30
STABLE_S = 60

# The kernel's "parent died" signal is sent when the *thread* that forked ends, so every child is
# started by one thread that lives as long as this interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ProcessFailedError(SandboxError):
    """A child process ended or did not get ready; the message has the end of its log."""


class ManagedProcess:
    """One child process in a process group of its own, writing to one log file.

    It is killed by the kernel when this process ends in any way, SIGKILL included. With ``restart`` it is
    started again whenever it ends by itself, after a pause that doubles from 0.5 s to 30 s and starts anew
    once it has lived for a minute.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        restart: bool = False,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log_file = log_file
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._restart = restart
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of starting against stopping

    @property
    def pid(self) -> int | None:
        """The process's id, or None before the first start."""
        return self._process.pid if self._process else None

    def poll(self) -> int | None:
        """Return the exit status (negative: the signal), or None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start it. Returns at once; see :meth:`wait_until_ready`."""
        self._stopping.clear()
        self._spawn()
        if self._restart:
            self.keep_alive()

    def become(self) -> NoReturn:
        """Replace this very process by it, on the standard output that there is."""
        if self._cwd:
            os.chdir(self._cwd)
        os.execvpe(self.command[0], self.command, self._env or os.environ)  # noqa: S606

    def keep_alive(self) -> None:
        """From now on start it again whenever it ends by itself, until it is stopped."""
        threading.Thread(target=self._restart_when_ended, name=f"keep-{self.name}", daemon=True).start()

    def wait_until_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Poll ``ready`` until it holds; raise :class:`ProcessFailedError` if it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if (status := self.poll()) is not None:
                raise ProcessFailedError(self._failure(f"ended with {_outcome(status)} before it was ready"))
            if time.monotonic() > deadline:
                raise ProcessFailedError(self._failure(f"was not ready within {timeout_s:.0f} s"))
            time.sleep(POLL_S)

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait for a command that ends by itself; raise :class:`ProcessFailedError` unless it succeeds."""
        try:
            status = self._running().wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop(grace_s=0)
            raise ProcessFailedError(self._failure(f"did not end within {timeout_s:.0f} s")) from None
        if status != 0:
            raise ProcessFailedError(self._failure(f"failed with {_outcome(status)}"))

    def terminate(self) -> None:
        """Ask it to end (SIGTERM to its group), without waiting."""
        self._stopping.set()
        with self._lock:
            self._signal(signal.SIGTERM)

    def stop(self, grace_s: float = 10) -> int | None:
        """End it with its whole group: SIGTERM, after ``grace_s`` SIGKILL. Return its exit status."""
        self.terminate()
        if self._process is None:
            return None
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            log.warning("process.killed", name=self.name, pid=self._process.pid, grace_s=grace_s)
        self._signal(signal.SIGKILL)  # to what the group's leader may have left behind, too
        return self._process.wait()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last ``lines`` lines of its log."""
        try:
            with self.log_file.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 64 * 1024))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _spawn(self) -> None:
        with self._lock:
            if not self._stopping.is_set():
                self._process = _spawner.submit(self._popen).result()
                log.debug("process.started", name=self.name, pid=self._process.pid)

    def _popen(self) -> subprocess.Popen[bytes]:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        wrapper = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
        with self.log_file.open("ab") as output:
            return subprocess.Popen(
                [*wrapper, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends its children in order
            )

    def _restart_when_ended(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            started = time.monotonic()
            status = self._running().wait()
            lived_s = time.monotonic() - started
            pause_s = FIRST_PAUSE_S if lived_s > STABLE_S else min(2 * pause_s, LONGEST_PAUSE_S)
            if self._stopping.is_set():
                return
            log.warning("process.ended", name=self.name, outcome=_outcome(status), restart_in_s=pause_s)
            self._stopping.wait(pause_s)
            self._spawn()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was never started")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # nobody of the group is left
                os.killpg(self._process.pid, number)

    def _failure(self, what: str) -> str:
        return f"{self.name} {what}; the end of its log, {self.log_file}:\n{self.tail()}"


def _outcome(status: int) -> str:
    """Name an exit status: "status 3", or "SIGKILL" for -9."""
    if status < 0:
        return signal.Signals(-status).name
    return f"status {status}"
