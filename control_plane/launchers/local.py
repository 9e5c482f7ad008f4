"""Jobs and rollouts as processes of this machine: the embedded system and compose."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from filelock import FileLock, Timeout

from control_plane import audit
from control_plane.failures import Failure
from control_plane.launchers import job_runner
from control_plane.launchers.base import JobEnd, LauncherUnavailableError, arguments, job_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from control_plane.events import RolloutStarted, ServerAnnouncement, TrainingStarted

_POLL_S = 0.2
_LOOK_S = 0.5  # at the servers: each look is a consumer of its own
_SUBMIT_TIMEOUT_S = 30.0


class LocalTrainingLauncher:
    """Each job is a runner with its own session, which outlives the control plane (``job_runner``).

    ``command`` is what a job runs; ``{batch}``, ``{attempt}`` and ``{accept_profile}`` in it are filled in.
    """

    def __init__(
        self, home: Path, command: Sequence[str], deadline_s: float, environment: Mapping[str, str]
    ) -> None:
        self._home = home.absolute()
        self._command = command
        self._deadline_s = deadline_s
        self._environment = environment
        self._runners: dict[str, subprocess.Popen[bytes]] = {}  # those that this process started

    def submit(self, started: TrainingStarted) -> None:
        """Start the runner unless the job runs or has ended, and return once it holds the job's lock."""
        folder = self._folder(started)
        if _ended(folder) or _held(folder):
            return
        runner = self._runners[folder.name] = self._spawn(started, folder)
        give_up = time.monotonic() + _SUBMIT_TIMEOUT_S
        while not (_held(folder) or _ended(folder)):
            if runner.poll() is not None or time.monotonic() > give_up:
                raise LauncherUnavailableError(f"the runner of {folder.name} did not start (see its log)")
            time.sleep(_POLL_S / 4)

    def wait(self, started: TrainingStarted, seconds: float) -> JobEnd | None:
        """Return how the job ended; one whose runner is gone without a word was killed."""
        folder = self._folder(started)
        give_up = time.monotonic() + seconds
        while _held(folder):
            if time.monotonic() > give_up:
                return None
            time.sleep(_POLL_S)
        if runner := self._runners.pop(folder.name, None):
            runner.wait(_SUBMIT_TIMEOUT_S)
        with FileLock(folder / job_runner.LOCK):
            if end := _ended(folder):
                return replace(end, logs=str(self._log(folder)))
            job_runner.end_leftovers(folder)
        killed = Failure(reason=f"the runner of {folder.name} was killed")
        return JobEnd(killed, None, str(self._log(folder)))

    def _folder(self, started: TrainingStarted) -> Path:
        folder = self._home / "jobs" / job_name(started)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _log(self, folder: Path) -> Path:
        return self._home / "logs" / f"{folder.name}.log"

    def _spawn(self, started: TrainingStarted, folder: Path) -> subprocess.Popen[bytes]:
        log = self._log(folder)
        log.parent.mkdir(parents=True, exist_ok=True)
        filled = [_filled(part, started) for part in self._command]
        runner = [sys.executable, "-m", "control_plane.launchers.job_runner"]
        options = [f"--folder={folder}", f"--log={log}", f"--deadline={self._deadline_s}", "--"]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*runner, *options, *filled],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | self._environment,
                start_new_session=True,
            )


def _filled(part: str, started: TrainingStarted) -> str:
    told = arguments(started)
    # At once: a batch may be called "{attempt}".
    return re.sub(f"{{({'|'.join(told)})}}", lambda found: told[found[1]], part)


def _held(folder: Path) -> bool:
    try:
        with FileLock(folder / job_runner.LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _ended(folder: Path) -> JobEnd | None:
    try:
        end: job_runner.Exit = json.loads((folder / job_runner.EXIT).read_text())
    except FileNotFoundError:
        return None
    said = end["reason"]
    return JobEnd(Failure.read(said) if said else None, seconds=end["seconds"])


class LocalRolloutLauncher:
    """The serving supervisor follows the control topics itself; here only its success is awaited."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    def start(self, rollout: RolloutStarted) -> None:
        """Do nothing: the supervisor has read ``rollout.started`` as well."""

    def wait(self, rollout: RolloutStarted, seconds: float) -> datetime | None:
        """Return since when the leading server is one of this version."""
        give_up = time.monotonic() + seconds
        while True:
            active = [found for found in self._servers() if found.role == "active"]
            # A killed server cannot take back its word: only the last to lead is believed.
            if active and active[-1].model_version == rollout.version:
                return active[-1].since.astimezone(UTC)
            if time.monotonic() > give_up:
                return None
            time.sleep(_LOOK_S)

    def go_back(self, rollout: RolloutStarted) -> None:
        """Do nothing: the supervisor reads ``rollout.failed`` as well."""

    def _servers(self) -> list[ServerAnnouncement]:
        try:
            return audit.servers(self._bootstrap_servers)
        except (audit.LogUnavailableError, KafkaException) as error:
            raise LauncherUnavailableError(str(error)) from error
