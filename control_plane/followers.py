"""Following what was begun until it ends: a training job, a rollout. Returns the event to publish.

What does not answer is asked again, for as long as it takes: an outage is no failure of a job, and giving a
job up that still runs would let two of them run.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog

from control_plane.decisions import on_training_failure
from control_plane.events import (
    RolloutFailed,
    RolloutStarted,
    RolloutSucceeded,
    TrainingStarted,
    TrainingSucceeded,
)
from control_plane.failures import Failure
from control_plane.launchers.base import LaunchRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from control_plane.events import TrainingFailed
    from control_plane.launchers.base import JobEnd, RolloutLauncher, TrainingLauncher
    from control_plane.registry import ModelVersion, Registry

log = structlog.get_logger()
T = TypeVar("T")

_WAIT_S = 1.0  # a thread waits no longer at a time, so that stopping never waits for an outage or a job
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0


async def persist(call: Callable[..., T], *args: object, final: type[Exception] = LaunchRefusedError) -> T:
    """Call in a thread, again and again with growing pauses, until it returns or raises a ``final`` error."""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return await asyncio.to_thread(call, *args)
        except final:
            raise
        except Exception as error:  # whatever it is, the event that asked for this must not be lost
            log.warning("control_plane.retry", call=call.__qualname__, error=str(error), pause_s=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def follow_training(
    started: TrainingStarted, launcher: TrainingLauncher, registry: Registry, attempts: int
) -> TrainingSucceeded | TrainingFailed:
    """Launch the attempt's job unless it is there, and return what came of it: what is registered counts."""
    try:
        if await persist(registry.trained_by, started.job) is None:
            await persist(launcher.submit, started)
        end = await _ended(launcher, started)
    except LaunchRefusedError as error:
        return on_training_failure(started, Failure(reason=str(error), final=True), attempts)
    if model := await persist(registry.trained_by, started.job):
        return _succeeded(started, model, end)
    nothing = Failure(reason=f"the job ended well and registered no model with the tag of {started.job}")
    return on_training_failure(started, end.failure or nothing, attempts, end.seconds, end.logs)


async def _ended(launcher: TrainingLauncher, started: TrainingStarted) -> JobEnd:
    while (end := await persist(launcher.wait, started, _WAIT_S)) is None:
        pass
    return end


def _succeeded(started: TrainingStarted, model: ModelVersion, end: JobEnd) -> TrainingSucceeded:
    return TrainingSucceeded(
        batch=started.batch,
        attempt=started.attempt,
        run_id=model.run_id,
        version=model.version,
        seconds=end.seconds or 0.0,
        logs=end.logs,
    )


async def follow_rollout(
    started: RolloutStarted, since: datetime, launcher: RolloutLauncher, deadline_s: float
) -> RolloutSucceeded | RolloutFailed:
    """Begin the rollout unless it has begun, and return what came of it by the deadline after ``since``."""
    try:
        await persist(launcher.start, started)
        answers_since = await _answers(launcher, started, since + timedelta(seconds=deadline_s))
    except LaunchRefusedError as error:
        return await _gone_back(launcher, started, str(error))
    if answers_since is None:
        reason = f"no server of version {started.version} answered within {deadline_s:g} s"
        return await _gone_back(launcher, started, reason)
    seconds = max(0.0, (answers_since - since).total_seconds())
    return RolloutSucceeded(version=started.version, rollout=started.rollout, seconds=seconds)


async def _answers(launcher: RolloutLauncher, started: RolloutStarted, deadline: datetime) -> datetime | None:
    # Looked at once more after the deadline: it may have passed while nobody looked.
    while (since := await persist(launcher.wait, started, _WAIT_S)) is None:
        if datetime.now(UTC) > deadline:
            return None
    return since


async def _gone_back(launcher: RolloutLauncher, started: RolloutStarted, reason: str) -> RolloutFailed:
    await persist(launcher.go_back, started)
    return RolloutFailed(version=started.version, rollout=started.rollout, reason=reason)
