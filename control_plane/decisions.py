"""What to do when an event comes: ``(state, event) -> (new state, actions)``. Pure.

The state follows from the log alone and every action can be repeated: event ids, job names and the numbers
of rollouts follow from the state. So the control plane performs the actions first and keeps the new state
then; dying in between, or reading a record twice, ends in the same story.

Effects follow events: ``batch.arrived`` lets ``training.started`` be published, and only reading that
launches the job.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time, where the rows are parsed
from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from control_plane.events import (
    BatchArrived,
    Event,
    ModelDegraded,
    ModelRegistered,
    Recorded,
    RollbackRequested,
    RolloutFailed,
    RolloutStarted,
    RolloutSucceeded,
    TrainingFailed,
    TrainingRequested,
    TrainingStarted,
    TrainingSucceeded,
)

if TYPE_CHECKING:
    from control_plane.failures import Failure


@dataclass(frozen=True)
class Publish:
    """Append an event to its topic."""

    event: Event


@dataclass(frozen=True)
class Launch:
    """Start the attempt's job, unless it is there, and publish how it ends."""

    started: TrainingStarted


@dataclass(frozen=True)
class StartRollout:
    """Bring the version up in place of what serves, and publish how that ends. ``since``: when it began."""

    started: RolloutStarted
    since: datetime


@dataclass(frozen=True)
class SetChampion:
    """Point the registry's alias ``champion`` at the version."""

    version: int


Action: TypeAlias = Publish | Launch | StartRollout | SetChampion


class Status(StrEnum):
    """Where a batch is in its life."""

    WAITING = "waiting"
    TRAINING = "training"
    TRAINED = "trained"
    FAILED = "failed"


@dataclass(frozen=True)
class Batch:
    """A batch in the queue or past it: its ``place``, and the attempt that runs or ran last.

    ``since`` is when it arrived or was asked for last, which began ``first_attempt``.
    """

    place: int
    status: Status = Status.WAITING
    attempt: int = 0
    first_attempt: int = 1
    accept_profile: bool = False
    since: datetime | None = None  # of a row kept before there were requests


@dataclass(frozen=True)
class Trainings:
    """Every batch that arrived. At most one has the status ``training``."""

    batches: Mapping[str, Batch] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def running(self) -> TrainingStarted | None:
        """The attempt that runs, or whose ``training.started`` is on its way through the log."""
        found = next((name for name, batch in self.batches.items() if batch.status is Status.TRAINING), None)
        return self.attempt_at(found) if found else None

    @property
    def queue(self) -> list[str]:
        """The batches that wait, the first to arrive first."""
        waiting = (name for name, batch in self.batches.items() if batch.status is Status.WAITING)
        return sorted(waiting, key=lambda name: self.batches[name].place)

    @property
    def last_place(self) -> int:
        """The place behind all others."""
        return 1 + max((batch.place for batch in self.batches.values()), default=-1)

    def attempt_at(self, name: str) -> TrainingStarted:
        """Return the start of the batch's last attempt."""
        batch = self.batches[name]
        return TrainingStarted(
            batch=name,
            attempt=batch.attempt,
            first_attempt=batch.first_attempt,
            accept_profile=batch.accept_profile,
        )

    def with_batch(self, name: str, batch: Batch) -> Trainings:
        """Return the state with this batch in it."""
        return Trainings(MappingProxyType({**self.batches, name: batch}))

    def runs(self, event: TrainingStarted | TrainingSucceeded | TrainingFailed) -> bool:
        """Whether the event is about the attempt that runs; any other is old news, or never was ours."""
        running = self.running
        return running is not None and (running.batch, running.attempt) == (event.batch, event.attempt)

    def is_news(self, event: TrainingRequested) -> bool:
        """Whether the request is later than all that the batch was asked for before, and its arrival."""
        batch = self.batches.get(event.batch)
        return batch is not None and (batch.since is None or event.requested_at > batch.since)


def on_batch_event(state: Trainings, recorded: Recorded) -> tuple[Trainings, list[Action]]:
    """One training at a time, batches in the order of their arrival, a failed one again until it is final.

    A batch that is asked for goes to the end of the queue.
    """
    event, actions = recorded.event, list[Action]()
    match event:
        case BatchArrived() if event.batch not in state.batches:
            state = state.with_batch(event.batch, Batch(place=state.last_place, since=recorded.time))
        case TrainingRequested() if state.is_news(event):
            state = _requested(state, event)
        case TrainingStarted() if state.runs(event):
            actions.append(Launch(event))
        case TrainingSucceeded() if state.runs(event):
            state = _with_status(state, event.batch, Status.TRAINED)
        case TrainingFailed(final=True) if state.runs(event):
            state = _with_status(state, event.batch, Status.FAILED)
        case TrainingFailed() if state.runs(event):
            state, again = _attempted(state, event.batch)
            actions.append(again)
    # Whatever came: a crash may have kept half of a change, and reading its event again completes it.
    if state.running is None and state.queue:
        state, first = _attempted(state, state.queue[0])
        actions.append(first)
    return state, actions


def _with_status(state: Trainings, name: str, status: Status) -> Trainings:
    return state.with_batch(name, replace(state.batches[name], status=status))


def _requested(state: Trainings, event: TrainingRequested) -> Trainings:
    batch = replace(state.batches[event.batch], since=event.requested_at)
    # One that waits or trains is left to that. Its request is old news from here on as well: read again after
    # the training's end, it must not begin another.
    if batch.status in {Status.TRAINED, Status.FAILED}:
        batch = replace(
            batch,
            place=state.last_place,
            status=Status.WAITING,
            first_attempt=batch.attempt + 1,
            accept_profile=event.accept_profile,
        )
    return state.with_batch(event.batch, batch)


def _attempted(state: Trainings, name: str) -> tuple[Trainings, Publish]:
    batch = state.batches[name]
    state = state.with_batch(name, replace(batch, status=Status.TRAINING, attempt=batch.attempt + 1))
    return state, Publish(state.attempt_at(name))


def on_training_failure(
    started: TrainingStarted,
    failure: Failure,
    attempts: int,
    seconds: float | None = None,
    logs: str | None = None,
) -> TrainingFailed:
    """Return what to publish of a failed attempt: final if its failure is, or the last of ``attempts``."""
    tried = started.attempt - started.first_attempt + 1
    return TrainingFailed(
        batch=started.batch,
        attempt=started.attempt,
        reason=failure.reason,
        final=failure.final or tried >= attempts,
        seconds=seconds,
        logs=logs,
        profile=failure.profile,
    )


@dataclass(frozen=True)
class Rollouts:
    """What serves, what is on its way there, and what waits. One global row, however many versions come."""

    serving: int | None = None
    running: RolloutStarted | None = None
    since: datetime | None = None  # when the running rollout's event was recorded; null until it is read
    waiting: int | None = None
    newest: int = 0  # the newest version registered so far
    count: int = 0  # of rollouts; the number of the last one
    rolled_back: datetime | None = None  # the last request to roll back that was taken
    # What serves, and what one may go back to, the oldest first. A version that was left for an older one is
    # not among them any more.
    served: tuple[int, ...] = ()

    @property
    def before(self) -> int | None:
        """The version to go back to from the one that serves; none that was itself rolled back from."""
        return self.served[-2] if len(self.served) > 1 else None

    @property
    def wanted(self) -> int | None:
        """The version that shall serve in the end."""
        return self.waiting or (self.running.version if self.running else self.serving)

    def runs(self, event: RolloutStarted | RolloutSucceeded | RolloutFailed) -> bool:
        """Whether the event is about the rollout that runs."""
        running = self.running
        return running is not None and (running.version, running.rollout) == (event.version, event.rollout)


def on_model_event(
    state: Rollouts, recorded: Recorded, *, rolls_back: bool = False
) -> tuple[Rollouts, list[Action]]:
    """One rollout at a time: of each newer version, of the last asked for when several wait.

    A rollback is a request like a new version, though older; a failed rollout leaves what served before.
    With ``rolls_back`` one is asked for when the version that serves has degraded; the state does not depend
    on it, for whoever reads the log comes to the same.
    """
    event, actions = recorded.event, list[Action]()
    match event:
        case ModelRegistered() if event.version > state.newest:
            state = replace(state, newest=event.version, waiting=event.version)
        case RollbackRequested() if state.rolled_back is None or event.requested_at > state.rolled_back:
            state = replace(state, rolled_back=event.requested_at, waiting=event.version)
        case RolloutStarted() if state.runs(event):
            state = replace(state, since=state.since or recorded.time)
            actions.append(StartRollout(event, since=state.since or recorded.time))
        case RolloutSucceeded() if state.runs(event):
            older = (version for version in state.served if version < event.version)
            served = (*older, event.version)
            state = replace(state, serving=event.version, running=None, since=None, served=served)
            actions.append(SetChampion(event.version))
        case RolloutFailed() if state.runs(event):
            state = replace(state, running=None, since=None)
        case ModelDegraded() if rolls_back and event.version == state.wanted == state.serving:
            if state.before is not None:
                # By the event's own time: read again it asks for the same, and a later wish has precedence.
                actions.append(Publish(RollbackRequested(version=state.before, requested_at=recorded.time)))
    if state.waiting is not None and state.running is None:
        state, started = _started(state, state.waiting)
        actions.extend(started)
    return state, actions


def _started(state: Rollouts, version: int) -> tuple[Rollouts, list[Publish]]:
    if version == state.serving:
        return replace(state, waiting=None), []
    number = state.count + 1
    started = RolloutStarted(version=version, rollout=number, replaces=state.serving)
    return replace(state, running=started, waiting=None, count=number), [Publish(started)]
