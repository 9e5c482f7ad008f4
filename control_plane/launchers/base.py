"""What a launcher promises. All methods block; the control plane calls them in threads."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from control_plane.events import RolloutStarted, TrainingStarted
    from control_plane.failures import Failure

_LONGEST_NAME = 52  # a pod's name is its Job's with a suffix, and a label has 63 characters


class LauncherUnavailableError(RuntimeError):
    """What runs the jobs does not answer at the moment: worth another try, and no failure of the job."""


class LaunchRefusedError(RuntimeError):
    """The job or the rollout cannot be, however often it is tried; the message is the reason to publish."""


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: ``failure`` says why it failed, null if it did not; ``logs`` where its log is kept."""

    failure: Failure | None
    seconds: float | None
    logs: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it failed, in words."""
        return self.failure.reason if self.failure else None


class TrainingLauncher(Protocol):
    """Runs the jobs that train."""

    def submit(self, started: TrainingStarted) -> None:
        """Start the attempt's job; one that runs or has ended is met, not started again."""

    def wait(self, started: TrainingStarted, seconds: float) -> JobEnd | None:
        """Return how the job ended, or null if it still runs after these seconds.

        A job that ended is over wholly: none of its processes is left.
        """


class RolloutLauncher(Protocol):
    """Brings versions of the model in front of the requests."""

    def start(self, rollout: RolloutStarted) -> None:
        """Begin; beginning twice is harmless."""

    def wait(self, rollout: RolloutStarted, seconds: float) -> datetime | None:
        """Return since when the version answers, or null if it does not after these seconds."""

    def go_back(self, rollout: RolloutStarted) -> None:
        """Leave what the rollout was to replace; going back twice is harmless."""


def arguments(started: TrainingStarted) -> dict[str, str]:
    """Return what a job is told, by the name that its command or manifest has for it."""
    return {
        "batch": started.batch,
        "attempt": str(started.attempt),
        "accept_profile": str(started.accept_profile).lower(),
    }


def job_name(started: TrainingStarted) -> str:
    """Return the job's name as a folder or Kubernetes takes it: a DNS label, unique to batch and attempt."""
    safe = re.sub(r"[^a-z0-9]+", "-", started.job.lower()).strip("-")
    if safe == started.job and len(safe) <= _LONGEST_NAME:
        return safe
    digest = hashlib.sha256(started.job.encode()).hexdigest()[:8]
    return f"{safe[: _LONGEST_NAME - 9].rstrip('-')}-{digest}"
