"""The monitoring application as a process that can be killed, and started again on what it left."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from spark_apps.monitoring.checkpoint import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane.settings import Servers

WINDOW_MS = 2000
HORIZON_MS = 3_600_000
LEAD_S = 3600


class Application:
    """The application as a process, with the checkpoints of its predecessors."""

    def __init__(self, servers: Servers, home: Path, **settings: str) -> None:
        self.home = home
        self.log = home / "monitoring.log"
        self._environment = (
            os.environ
            | servers.environment()
            | {
                "PIPELINES_HOME": str(home),
                "MONITORING_WINDOW": str(WINDOW_MS / 1000),
                "MONITORING_DELAY": "1",
                "MONITORING_TRIGGER": "0.5",
                "MONITORING_PRICE_HORIZON": str(HORIZON_MS / 1000),
                "MONITORING_HEARTBEAT": str(home / "heartbeat"),
                "LOG_FORMAT": "json",
            }
            | settings
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "spark_apps.monitoring"], env=self._environment, stderr=log, stdout=log
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        return self._process

    def kill(self) -> None:
        """SIGKILL Python and its JVM at once, and wait until both are gone."""
        process = self.process
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # Spark's short-lived ones come and go
                member.kill()
        process.wait()
        psutil.wait_procs(family, timeout=20)

    def kill_python_alone(self) -> None:
        process = self.process
        process.kill()
        process.wait()

    def kill_jvm_alone(self) -> None:
        """SIGKILL the JVM, if there is one yet, and wait until Python has ended by itself for it."""
        process = self.process
        children = psutil.Process(process.pid).children(recursive=True)
        if not (jvms := [child for child in children if child.name() == "java"]):
            return self.kill()
        for jvm in jvms:
            jvm.kill()
        process.wait(60)
        return None

    def terminate(self) -> int:
        process = self.process
        process.terminate()
        return process.wait(30)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def lose_checkpoint(self) -> None:
        """Remove all that is remembered."""
        shutil.rmtree(self.home / "monitoring")

    def lose_last_commit(self) -> None:
        """Make the last batch with records one that was killed after it had written all its outcomes."""
        outcomes = self.home / "monitoring" / FORMAT / "outcomes"
        offsets, commits = numbered(outcomes / "offsets"), numbered(outcomes / "commits")
        last = max(n for n in offsets if n and sources(offsets[n - 1]) != sources(offsets[n]))
        for file in [offsets[n] for n in offsets if n > last] + [commits[n] for n in commits if n >= last]:
            file.unlink()
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)


def numbered(folder: Path) -> dict[int, Path]:
    return {int(file.name): file for file in folder.iterdir() if file.name.isdigit()}


def sources(offsets: Path) -> list[str]:
    return offsets.read_text().splitlines()[2:]  # after the version and the batch's own metadata
