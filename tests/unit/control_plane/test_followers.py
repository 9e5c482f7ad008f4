from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from control_plane import events, followers
from control_plane.failures import Failure
from control_plane.followers import follow_rollout, follow_training
from control_plane.launchers.base import JobEnd, LauncherUnavailableError, LaunchRefusedError
from control_plane.registry import ModelVersion, RegistryUnavailableError

STARTED = events.TrainingStarted(batch="b1", attempt=1)
ROLLOUT = events.RolloutStarted(version=2, rollout=5, replaces=1)
MODEL = ModelVersion(3, run_id="run", job=STARTED.job)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(followers, "_FIRST_PAUSE_S", 0)
    monkeypatch.setattr(followers, "_WAIT_S", 0)


class Script:
    """Answers calls in the given order, raising what is an exception, and notes who was called."""

    def __init__(self, **answers):
        self.calls = []
        self._answers = {name: iter(given) for name, given in answers.items()}

    def __getattr__(self, name):
        def call(*_):
            self.calls.append(name)
            answer = next(self._answers[name], None) if name in self._answers else None
            if isinstance(answer, Exception):
                raise answer
            return answer

        call.__qualname__ = name
        return call


def train(launcher, registry, attempts=3):
    return asyncio.run(follow_training(STARTED, launcher, registry, attempts))


def roll_out(launcher, since, deadline_s=60.0):
    return asyncio.run(follow_rollout(ROLLOUT, since, launcher, deadline_s))


def test_a_training_succeeds_with_the_version_that_its_job_registered():
    launcher = Script(wait=[None, None, JobEnd(None, 12.5)])
    event = train(launcher, Script(trained_by=[None, MODEL]))
    assert event == events.TrainingSucceeded(batch="b1", attempt=1, run_id="run", version=3, seconds=12.5)
    assert launcher.calls == ["submit", "wait", "wait", "wait"]


def test_a_job_that_has_registered_already_is_not_launched_again():
    launcher = Script(wait=[JobEnd(Failure(reason="the runner was killed"), None)])
    event = train(launcher, Script(trained_by=[MODEL, MODEL]))
    assert isinstance(event, events.TrainingSucceeded)
    assert launcher.calls == ["wait"]


def test_a_failed_job_is_told_with_its_reason():
    event = train(Script(wait=[JobEnd(Failure(reason="no rows"), 2.0, "its.log")]), Script())
    assert event == events.TrainingFailed(
        batch="b1", attempt=1, reason="no rows", final=False, seconds=2.0, logs="its.log"
    )


def test_a_job_that_ended_well_without_a_model_failed():
    event = train(Script(wait=[JobEnd(None, 2.0)]), Script(), attempts=1)
    assert isinstance(event, events.TrainingFailed)
    assert "registered no model" in event.reason
    assert event.final


def test_a_job_that_cannot_be_launched_failed_with_the_reason():
    event = train(Script(submit=[LaunchRefusedError("no quota")]), Script())
    assert (event.type, event.reason, event.final) == ("training.failed", "no quota", True)


def test_an_outage_is_no_failure():
    launcher = Script(
        submit=[LauncherUnavailableError("away"), None],
        wait=[LauncherUnavailableError("away"), JobEnd(None, 1.0)],
    )
    registry = Script(
        trained_by=[RegistryUnavailableError("away"), None, RegistryUnavailableError("away"), MODEL]
    )
    assert isinstance(train(launcher, registry), events.TrainingSucceeded)


def test_a_rollout_takes_from_its_event_to_the_moment_the_version_answers():
    since = datetime.now(UTC)
    event = roll_out(Script(wait=[None, since + timedelta(seconds=7)]), since)
    assert event == events.RolloutSucceeded(version=2, rollout=5, seconds=7.0)


def test_a_rollout_past_its_deadline_goes_back_and_says_why():
    launcher = Script()
    event = roll_out(launcher, datetime.now(UTC) - timedelta(seconds=61))
    assert event == events.RolloutFailed(
        version=2, rollout=5, reason="no server of version 2 answered within 60 s"
    )
    assert launcher.calls == ["start", "wait", "go_back"]


def test_a_version_that_came_to_answer_while_nobody_looked_is_a_success_though_the_deadline_passed():
    since = datetime.now(UTC) - timedelta(hours=1)
    event = roll_out(Script(wait=[since + timedelta(seconds=9)]), since)
    assert event == events.RolloutSucceeded(version=2, rollout=5, seconds=9.0)


def test_a_rollout_that_is_refused_goes_back():
    launcher = Script(wait=[LaunchRefusedError("the image is not there")])
    event = roll_out(launcher, datetime.now(UTC))
    assert (event.type, event.reason) == ("rollout.failed", "the image is not there")
    assert launcher.calls[-1] == "go_back"
