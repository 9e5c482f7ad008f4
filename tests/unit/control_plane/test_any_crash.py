"""Whatever is killed whenever and however often the log repeats itself: the same story comes out.

A small world stands in for Kafka, the tables and the jobs. It may forget what was not kept, read again what
was read, and stop between any two effects of one event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control_plane import events
from control_plane.decisions import (
    Launch,
    Publish,
    Rollouts,
    SetChampion,
    StartRollout,
    Status,
    Trainings,
    on_batch_event,
    on_model_event,
    on_training_failure,
)
from control_plane.failures import Failure

ATTEMPTS = 2
ACCEPTED = {"b2", "b4"}  # when they are asked for
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class World:
    """The log, what is kept of the state, the jobs that run, and those whose end somebody waits for."""

    decide: Any
    kept: Any
    log: list[events.Recorded] = field(default_factory=list)
    committed: int = 0
    position: int = 0
    jobs: dict[str, Any] = field(default_factory=dict)  # by name: what started it, and what it came to
    ended: dict[str, events.Event] = field(default_factory=dict)
    followed: set[str] = field(default_factory=set)
    champion: int | None = None

    @property
    def running(self) -> list[str]:
        return [name for name in self.jobs if name not in self.ended]

    @property
    def now(self) -> datetime:
        return NOON + timedelta(milliseconds=len(self.log))

    def publish(self, event: events.Event) -> None:
        self.log.append(events.Recorded(id=event.id, source="/tests", time=self.now, event=event))

    def read(self, crash_after: int | None) -> None:
        """Handle the next record; ``crash_after`` so many effects (actions, then kept changes)."""
        if self.position >= len(self.log):
            return
        new, actions = self.decide(self.kept, self.log[self.position])
        effects = [*(lambda action=action: self.perform(action) for action in actions), *self.changes(new)]
        for number, effect in enumerate(effects):
            if number == crash_after:
                self.restart(again=0)
                return
            effect()
        self.position += 1

    def changes(self, new: Any) -> list[Any]:
        if not isinstance(new, Trainings):
            return [lambda: setattr(self, "kept", new)]
        changed = [name for name, batch in new.batches.items() if self.kept.batches.get(name) != batch]
        return [
            lambda name=name: setattr(self, "kept", self.kept.with_batch(name, new.batches[name]))
            for name in changed
        ]

    def perform(self, action: Any) -> None:
        match action:
            case Publish(event):
                self.publish(event)
            case SetChampion(version):
                self.champion = version
            case Launch(started) | StartRollout(started):
                self.follow(started)

    def follow(self, started: Any) -> None:
        self.jobs.setdefault(started.id, started)  # submitting twice meets the first
        self.followed.add(started.id)
        assert len(self.running) <= 1, "two at once"
        assert any(record.id == started.id for record in self.log), "the log does not tell of it"

    def end(self, number: int, *, good: bool) -> None:
        if self.running:
            name = self.running[number % len(self.running)]
            self.ended[name] = outcome(self.jobs[name], good=good)

    def tell(self) -> None:
        """Publish what the followed jobs that ended came to."""
        for name in sorted(self.followed & self.ended.keys()):
            self.followed.remove(name)
            self.publish(self.ended[name])

    def restart(self, again: int) -> None:
        """Lose everything that is not kept, and read some of what was read again."""
        self.followed.clear()
        self.position = max(self.committed, self.position - again)
        running = self.kept.running
        if running and getattr(self.kept, "since", True):  # of a rollout, null until its start was read
            self.follow(running)

    def commit(self) -> None:
        self.committed = self.position

    def repeat(self, number: int) -> None:
        if self.log:
            self.publish(self.log[number % len(self.log)].event)

    def degrade(self, version: int) -> None:
        if self.decide is not on_batch_event:
            moment = self.now
            self.publish(
                events.ModelDegraded(
                    version=version,
                    what="rmse",
                    value=2,
                    bound=1,
                    window_start=moment,
                    window_end=moment,
                    windows=1,
                )
            )

    def roll_back(self, version: int) -> None:
        if self.decide is not on_batch_event:
            self.publish(events.RollbackRequested(version=version, requested_at=self.now))

    def request(self, number: int) -> None:
        if self.decide is on_batch_event:
            batch = f"b{number}"
            accept = batch in ACCEPTED
            self.publish(events.TrainingRequested(batch=batch, requested_at=self.now, accept_profile=accept))

    def settle(self) -> None:
        while self.position < len(self.log) or self.running or self.followed:
            self.read(None)
            self.end(0, good=True)
            self.tell()


def outcome(started: Any, *, good: bool) -> events.Event:
    match started:
        case events.TrainingStarted(batch=batch, attempt=attempt) if good:
            return events.TrainingSucceeded(batch=batch, attempt=attempt, run_id="r", version=1, seconds=1)
        case events.TrainingStarted():
            return on_training_failure(started, Failure(reason="bad luck"), ATTEMPTS)
        case events.RolloutStarted(version=version, rollout=rollout) if good:
            return events.RolloutSucceeded(version=version, rollout=rollout, seconds=1)
        case _:
            return events.RolloutFailed(version=started.version, rollout=started.rollout, reason="bad luck")


def is_good(end: events.Event) -> bool:
    return isinstance(end, events.RolloutSucceeded)


STEPS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 4)),
    st.tuples(st.just("roll back"), st.integers(1, 4)),
    st.tuples(st.just("degrade"), st.integers(1, 4)),
    st.tuples(st.just("request"), st.integers(1, 4)),
    st.tuples(st.just("repeat"), st.integers(0, 30)),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("read and crash after so many effects"), st.integers(0, 3)),
    st.tuples(st.just("end"), st.booleans()),
    st.tuples(st.just("tell"), st.none()),
    st.tuples(st.just("crash and read so many again"), st.integers(0, 3)),
    st.tuples(st.just("commit"), st.none()),
)


def live(world: World, steps: list[tuple[str, Any]], arrival: Any) -> None:
    """Let the world go through the steps, and then come to rest without any further crash."""
    acts = {
        "arrive": lambda number: world.publish(arrival(number)),
        "roll back": world.roll_back,
        "degrade": world.degrade,
        "request": world.request,
        "repeat": world.repeat,
        "read": world.read,
        "read and crash after so many effects": world.read,
        "end": lambda good: world.end(0, good=good),
        "tell": lambda _: world.tell(),
        "commit": lambda _: world.commit(),
        "crash and read so many again": world.restart,
    }
    for step, what in steps:
        acts[step](what)
    world.settle()


def arrived(number: int) -> events.BatchArrived:
    return events.BatchArrived(batch=f"b{number}", path=f"/batches/b{number}", files=1, bytes=1)


def registered(version: int) -> events.ModelRegistered:
    return events.ModelRegistered(version=version, model="m", run_id="r", batches=[])


def unrepeated(log: list[events.Recorded]) -> list[events.Recorded]:
    first: dict[str, events.Recorded] = {}
    for record in log:
        first.setdefault(record.id, record)
    return list(first.values())


@given(st.lists(STEPS, max_size=60))
def test_every_batch_is_trained_or_finally_failed_and_never_two_at_once(steps):
    world = World(on_batch_event, Trainings())
    live(world, steps, arrived)

    told = {record.event.batch for record in world.log if isinstance(record.event, events.BatchArrived)}
    assert set(world.kept.batches) == told
    for name, batch in world.kept.batches.items():
        jobs = [job for job in world.jobs.values() if job.batch == name]
        assert [job.attempt for job in jobs] == list(range(1, batch.attempt + 1))
        assert all(job.attempt - job.first_attempt < ATTEMPTS for job in jobs)
        tried = batch.attempt - batch.first_attempt + 1
        assert batch.status is Status.TRAINED or (batch.status is Status.FAILED and tried == ATTEMPTS)


@given(st.lists(STEPS, max_size=60))
def test_a_request_begins_one_row_of_attempts_at_most_and_its_flag_is_theirs_alone(steps):
    world = World(on_batch_event, Trainings())
    live(world, steps, arrived)

    begun = {(job.batch, job.first_attempt) for job in world.jobs.values()}
    asked = {record.id for record in world.log if isinstance(record.event, events.TrainingRequested)}
    assert len(begun) <= len(world.kept.batches) + len(asked)
    for job in world.jobs.values():
        assert job.accept_profile == (job.first_attempt > 1 and job.batch in ACCEPTED)


@given(st.lists(STEPS, max_size=60))
def test_what_is_kept_of_the_batches_follows_from_the_log_alone(steps):
    world = World(on_batch_event, Trainings())
    live(world, steps, arrived)

    for log in (world.log, unrepeated(world.log)):
        assert reduce(lambda state, record: on_batch_event(state, record)[0], log, Trainings()) == world.kept


@given(st.lists(STEPS, max_size=60))
def test_one_rollout_at_a_time_and_the_last_that_answered_is_the_champion(steps):
    world = World(on_model_event, Rollouts())
    live(world, steps, registered)

    assert world.kept.running is None
    assert world.kept.waiting is None
    assert world.champion == world.kept.serving
    numbers = [started.rollout for started in world.jobs.values()]
    assert numbers == list(range(1, world.kept.count + 1))


@given(st.lists(STEPS, max_size=60))
def test_what_is_kept_of_the_rollouts_follows_from_the_log_alone(steps):
    world = World(on_model_event, Rollouts())
    live(world, steps, registered)

    for log in (world.log, unrepeated(world.log)):
        assert reduce(lambda state, record: on_model_event(state, record)[0], log, Rollouts()) == world.kept


ROLLS_BACK = partial(on_model_event, rolls_back=True)


@given(st.lists(STEPS, max_size=60))
def test_what_is_kept_of_rollouts_does_not_depend_on_what_degradation_leads_to(steps):
    world = World(ROLLS_BACK, Rollouts())
    live(world, steps, registered)

    assert world.kept.running is None
    assert world.champion == world.kept.serving
    for log in (world.log, unrepeated(world.log)):
        assert reduce(lambda state, record: on_model_event(state, record)[0], log, Rollouts()) == world.kept


@given(st.lists(STEPS.filter(lambda step: step[0] != "roll back"), max_size=60))
def test_a_version_that_was_rolled_back_from_never_serves_again_by_itself(steps):
    world = World(ROLLS_BACK, Rollouts())
    live(world, steps, registered)

    served = [started.version for name, started in world.jobs.items() if is_good(world.ended[name])]
    left: set[int] = set()
    for before, after in pairwise(served):
        if after < before:
            left.add(before)
        assert after not in left
