"""How a server ends: at once and always the same way, whether it is told to, fails, or loses its JVM."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import structlog

from spark_apps.serving.processes import Process, end, wait

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from types import FrameType

log = structlog.get_logger()

FAILED = 1

_LONGEST_REASON = 500


class Lifeline:
    """Ties the two processes of a server together, and is the only way out.

    A stop is a crash by design: the JVM gets SIGKILL (``query.stop()`` leaves a pooled producer that may
    still be sending), is gone before the leadership is given up, and the Python process ends without
    winding anything down. So SIGTERM takes the path that SIGKILL takes, and that path is well worn.
    """

    def __init__(self) -> None:
        self._jvm: Process | None = None
        self._last_acts: list[Callable[[], None]] = []
        self._leaving = threading.Lock()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def guard(self, jvm: subprocess.Popen[bytes]) -> Process:
        """Watch the JVM from now on: when it dies, this server ends."""
        process = Process.of(jvm.pid)
        if process is None:
            self.leave(FAILED, "jvm.died")
        self._jvm = process
        threading.Thread(target=self._watch, args=(os.pidfd_open(jvm.pid),), daemon=True).start()
        return process

    def at_the_end(self, act: Callable[[], None]) -> None:
        """Have ``act`` done once the JVM is gone, in the order given; what it raises is logged."""
        self._last_acts.append(act)

    def failed(self, error: Exception) -> NoReturn:
        """Leave because of ``error``; where Kubernetes reads why a container ended, it is written down."""
        if path := os.environ.get("TERMINATION_MESSAGE_PATH"):
            with suppress(OSError):
                Path(path).write_text(str(error)[:_LONGEST_REASON], encoding="utf-8")
        self.leave(FAILED, "serving.failed", reason=str(error), exc_info=error)

    def leave(self, code: int, event: str, **fields: object) -> NoReturn:
        """End the JVM, do the last acts, and end this process with ``code``."""
        if not self._leaving.acquire(blocking=False):
            while True:  # another thread is at it and will take this one along
                time.sleep(1)
        (log.error if code else log.info)(event, **fields)
        if self._jvm is not None:
            end([self._jvm])
        for act in self._last_acts:
            try:
                act()
            except Exception:  # whatever it is, the remaining acts count more
                log.exception("serving.last_act_failed")
        os._exit(code)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        for ignored in (signal.SIGTERM, signal.SIGINT):
            # The kernel may tell of the parent's death twice; a second call would wait for the first.
            signal.signal(ignored, signal.SIG_IGN)
        self.leave(0, "serving.stopped", signal=signal.Signals(number).name)

    def _watch(self, descriptor: int) -> None:
        wait(descriptor)
        self.leave(FAILED, "jvm.died")
