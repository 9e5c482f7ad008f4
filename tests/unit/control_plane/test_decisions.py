from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter

from control_plane import events
from control_plane.decisions import (
    Batch,
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
from control_plane.failures import Failure, RefusedProfile

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def recorded(event: events.Event, time: datetime = NOON) -> events.Recorded:
    return events.Recorded(id=event.id, source="/tests", time=time, event=event)


def arrived(batch: str) -> events.BatchArrived:
    return events.BatchArrived(batch=batch, path=f"/batches/{batch}", files=1, bytes=10)


def started(batch: str, attempt: int = 1) -> events.TrainingStarted:
    return events.TrainingStarted(batch=batch, attempt=attempt)


def requested(batch: str, at: datetime, *, accept: bool = False) -> events.TrainingRequested:
    return events.TrainingRequested(batch=batch, requested_at=at, accept_profile=accept)


def succeeded(batch: str, attempt: int = 1) -> events.TrainingSucceeded:
    return events.TrainingSucceeded(batch=batch, attempt=attempt, run_id="r", version=1, seconds=2.0)


def failed(batch: str, attempt: int = 1, *, final: bool = False) -> events.TrainingFailed:
    return events.TrainingFailed(batch=batch, attempt=attempt, reason="no rows", final=final)


def after_batches(*story: events.Event) -> Trainings:
    state = Trainings()
    for event in story:
        state, _ = on_batch_event(state, recorded(event))
    return state


def registered(version: int) -> events.ModelRegistered:
    return events.ModelRegistered(version=version, model="used-car-price", run_id="r", batches=["b1"])


def rollout(version: int, number: int, replaces: int | None = None) -> events.RolloutStarted:
    return events.RolloutStarted(version=version, rollout=number, replaces=replaces)


def answered(version: int, number: int) -> events.RolloutSucceeded:
    return events.RolloutSucceeded(version=version, rollout=number, seconds=1.0)


def not_answered(version: int, number: int) -> events.RolloutFailed:
    return events.RolloutFailed(version=version, rollout=number, reason="no server")


def rollback(version: int, at: datetime = NOON) -> events.RollbackRequested:
    return events.RollbackRequested(version=version, requested_at=at)


def after_models(*story: events.Event) -> Rollouts:
    state = Rollouts()
    for event in story:
        state, _ = on_model_event(state, recorded(event))
    return state


class TestTrainings:
    def test_the_first_batch_is_trained_at_once(self):
        state, actions = on_batch_event(Trainings(), recorded(arrived("b1")))
        assert actions == [Publish(started("b1"))]
        assert state.batches == {"b1": Batch(place=0, status=Status.TRAINING, attempt=1, since=NOON)}

    def test_reading_that_a_training_started_launches_its_job(self):
        state = after_batches(arrived("b1"))
        assert on_batch_event(state, recorded(started("b1"))) == (state, [Launch(started("b1"))])

    def test_batches_wait_in_the_order_of_their_arrival(self):
        state = after_batches(arrived("z"), arrived("c"), arrived("a"))
        assert state.running == started("z")
        assert state.queue == ["c", "a"]

    def test_the_next_batch_is_trained_when_the_one_before_it_is(self):
        state = after_batches(arrived("b1"), arrived("b2"))
        state, actions = on_batch_event(state, recorded(succeeded("b1")))
        assert actions == [Publish(started("b2"))]
        assert state.batches["b1"].status is Status.TRAINED

    def test_a_failed_attempt_is_followed_by_the_next_before_any_other_batch(self):
        state = after_batches(arrived("b1"), arrived("b2"), started("b1"))
        state, actions = on_batch_event(state, recorded(failed("b1")))
        assert actions == [Publish(started("b1", attempt=2))]
        assert state.queue == ["b2"]

    def test_after_the_last_attempt_the_queue_goes_on(self):
        state = after_batches(arrived("b1"), arrived("b2"), failed("b1"))
        state, actions = on_batch_event(state, recorded(failed("b1", attempt=2, final=True)))
        assert actions == [Publish(started("b2"))]
        assert state.batches["b1"].status is Status.FAILED

    @pytest.mark.parametrize(
        "old",
        [
            arrived("b1"),
            started("b1", attempt=1),
            failed("b1", attempt=1),
            succeeded("b1", attempt=1),
            succeeded("b1", attempt=3),
            failed("unknown"),
            started("unknown"),
        ],
        ids=lambda event: event.id,
    )
    def test_old_and_unknown_news_change_nothing(self, old):
        state = after_batches(arrived("b1"), arrived("b2"), started("b1"), failed("b1"))
        assert on_batch_event(state, recorded(old)) == (state, [])

    def test_a_change_of_which_a_crash_kept_half_is_completed_by_reading_its_event_again(self):
        half = Trainings({"b1": Batch(0, Status.TRAINED, 1), "b2": Batch(1)})
        _, actions = on_batch_event(half, recorded(succeeded("b1")))
        assert actions == [Publish(started("b2"))]

    @pytest.mark.parametrize(("attempt", "final"), [(1, False), (2, False), (3, True), (4, True)])
    def test_the_last_attempt_is_final(self, attempt, final):
        failure = on_training_failure(started("b1", attempt), Failure(reason="no rows"), attempts=3)
        assert (failure.final, failure.attempt, failure.reason) == (final, attempt, "no rows")

    def test_what_cannot_change_is_final_at_once_and_told_with_the_profile(self):
        profile = RefusedProfile(rows=10, findings=())
        refused = Failure(reason="beyond the bounds", final=True, profile=profile)
        failure = on_training_failure(started("b1"), refused, attempts=3)
        assert (failure.final, failure.profile) == (True, profile)


class TestRequests:
    """A batch is asked for anew; LATER is after its arrival."""

    FAILED = (arrived("b1"), started("b1"), failed("b1", final=True))

    def test_a_failed_batch_that_is_asked_for_gets_an_attempt_of_its_own_with_the_flag(self):
        state, actions = on_batch_event(
            after_batches(*self.FAILED), recorded(requested("b1", LATER, accept=True))
        )
        again = events.TrainingStarted(batch="b1", attempt=2, first_attempt=2, accept_profile=True)
        assert actions == [Publish(again)]
        assert state.running == again
        assert on_batch_event(state, recorded(again)) == (state, [Launch(again)])

    def test_a_trained_batch_may_be_trained_again_without_the_flag(self):
        state = after_batches(arrived("b1"), succeeded("b1"))
        _, actions = on_batch_event(state, recorded(requested("b1", LATER)))
        assert actions == [Publish(events.TrainingStarted(batch="b1", attempt=2, first_attempt=2))]

    def test_the_next_attempt_of_a_request_has_its_flag_and_its_first_attempt(self):
        state = after_batches(*self.FAILED, requested("b1", LATER, accept=True))
        _, actions = on_batch_event(state, recorded(failed("b1", attempt=2)))
        third = events.TrainingStarted(batch="b1", attempt=3, first_attempt=2, accept_profile=True)
        assert actions == [Publish(third)]

    def test_the_flag_is_of_one_request_alone(self):
        story = (*self.FAILED, requested("b1", LATER, accept=True), failed("b1", attempt=2, final=True))
        _, actions = on_batch_event(
            after_batches(*story), recorded(requested("b1", LATER + timedelta(seconds=1)))
        )
        assert actions == [Publish(events.TrainingStarted(batch="b1", attempt=3, first_attempt=3))]

    @pytest.mark.parametrize(("attempt", "final"), [(4, False), (5, False), (6, True)])
    def test_attempts_count_from_the_request(self, attempt, final):
        begun = events.TrainingStarted(batch="b1", attempt=attempt, first_attempt=4)
        assert on_training_failure(begun, Failure(reason="no rows"), attempts=3).final is final

    def test_a_batch_that_is_asked_for_waits_behind_those_that_wait(self):
        story = (arrived("b1"), succeeded("b1"), arrived("b2"), arrived("b3"))
        state = after_batches(*story, requested("b1", LATER), arrived("b4"))
        assert state.running == started("b2")
        assert state.queue == ["b3", "b1", "b4"]

    def test_a_request_that_is_read_again_begins_nothing(self):
        asked = requested("b1", LATER)
        state = after_batches(*self.FAILED, asked, succeeded("b1", attempt=2))
        assert on_batch_event(state, recorded(asked)) == (state, [])

    def test_a_request_during_the_training_is_left_to_it_even_when_it_is_read_again_afterwards(self):
        asked = requested("b1", LATER, accept=True)
        state = after_batches(arrived("b1"), asked)
        assert state.running == started("b1")
        state = after_batches(arrived("b1"), asked, failed("b1", final=True))
        assert on_batch_event(state, recorded(asked)) == (state, [])

    def test_a_request_for_a_batch_that_never_arrived_changes_nothing(self):
        state = after_batches(arrived("b1"))
        assert on_batch_event(state, recorded(requested("b9", LATER))) == (state, [])

    def test_a_request_from_before_the_arrival_is_not_about_this_batch(self):
        state = after_batches(*self.FAILED)
        assert on_batch_event(state, recorded(requested("b1", NOON))) == (state, [])

    def test_a_batch_kept_before_there_were_requests_may_be_asked_for(self):
        kept = TypeAdapter(Batch).validate_python({"place": 0, "status": "failed", "attempt": 3})
        _, actions = on_batch_event(Trainings({"b1": kept}), recorded(requested("b1", NOON)))
        assert actions == [Publish(events.TrainingStarted(batch="b1", attempt=4, first_attempt=4))]


def degraded(version):
    window = {"window_start": NOON, "window_end": NOON, "windows": 3}
    return events.ModelDegraded(version=version, what="rmse", value=2, bound=1, **window)


class TestRollouts:
    def test_the_very_first_version_is_rolled_out_in_place_of_nothing(self):
        state, actions = on_model_event(Rollouts(), recorded(registered(1)))
        assert actions == [Publish(rollout(1, number=1, replaces=None))]
        assert state.wanted == 1

    def test_reading_that_a_rollout_started_begins_it_at_the_time_of_the_record(self):
        state = after_models(registered(1))
        state, actions = on_model_event(state, recorded(rollout(1, 1)))
        assert actions == [StartRollout(rollout(1, 1), since=NOON)]

    def test_a_rollout_read_twice_keeps_the_time_of_the_first(self):
        state = after_models(registered(1), rollout(1, 1))
        _, actions = on_model_event(state, recorded(rollout(1, 1), NOON + timedelta(minutes=1)))
        assert actions == [StartRollout(rollout(1, 1), since=NOON)]

    def test_the_champion_is_the_version_that_answers(self):
        state = after_models(registered(1), rollout(1, 1))
        state, actions = on_model_event(state, recorded(answered(1, 1)))
        assert actions == [SetChampion(1)]
        assert (state.serving, state.running) == (1, None)

    def test_of_several_versions_that_wait_the_newest_is_rolled_out_alone(self):
        state = after_models(registered(1), registered(2), registered(3))
        state, actions = on_model_event(state, recorded(answered(1, 1)))
        assert actions == [SetChampion(1), Publish(rollout(3, number=2, replaces=1))]

    def test_a_failed_rollout_leaves_what_served_before(self):
        state = after_models(registered(1), answered(1, 1), registered(2), rollout(2, 2, replaces=1))
        state, actions = on_model_event(state, recorded(not_answered(2, 2)))
        assert actions == []
        assert (state.serving, state.wanted, state.running) == (1, 1, None)

    def test_a_version_newer_than_a_failed_one_is_rolled_out_in_place_of_what_serves(self):
        state = after_models(registered(1), answered(1, 1), registered(2), not_answered(2, 2))
        _, actions = on_model_event(state, recorded(registered(3)))
        assert actions == [Publish(rollout(3, number=3, replaces=1))]

    def test_a_rollback_rolls_an_older_version_out(self):
        state = after_models(registered(1), answered(1, 1), registered(2), answered(2, 2))
        state, actions = on_model_event(state, recorded(rollback(1)))
        assert actions == [Publish(rollout(1, number=3, replaces=2))]
        assert state.wanted == 1

    def test_a_rollback_is_not_undone_by_old_news_and_is_by_a_newer_version(self):
        state = after_models(registered(1), answered(1, 1), registered(2), answered(2, 2), rollback(1))
        state, _ = on_model_event(state, recorded(answered(1, 3)))
        assert on_model_event(state, recorded(registered(2))) == (state, [])
        _, actions = on_model_event(state, recorded(registered(3)))
        assert actions == [Publish(rollout(3, number=4, replaces=1))]

    def test_the_same_request_to_roll_back_counts_once_and_a_later_one_again(self):
        story = [registered(1), answered(1, 1), registered(2), answered(2, 2), rollback(1), answered(1, 3)]
        state = after_models(*story, registered(3), answered(3, 4))
        assert on_model_event(state, recorded(rollback(1))) == (state, [])
        _, actions = on_model_event(state, recorded(rollback(1, NOON + timedelta(hours=1))))
        assert actions == [Publish(rollout(1, number=5, replaces=3))]

    def test_a_rollback_to_what_serves_does_nothing(self):
        state = after_models(registered(1), answered(1, 1))
        state, actions = on_model_event(state, recorded(rollback(1)))
        assert (actions, state.wanted, state.waiting) == ([], 1, None)

    def test_a_rollback_during_a_rollout_waits_for_its_end(self):
        state = after_models(registered(1), answered(1, 1), registered(2), rollout(2, 2, replaces=1))
        state, actions = on_model_event(state, recorded(rollback(1)))
        assert actions == []
        _, actions = on_model_event(state, recorded(answered(2, 2)))
        assert actions == [SetChampion(2), Publish(rollout(1, number=3, replaces=2))]

    @pytest.mark.parametrize(
        "old",
        [registered(1), registered(2), answered(1, 1), not_answered(1, 1), answered(2, 3), rollout(1, 1)],
        ids=lambda event: event.id,
    )
    def test_old_and_unknown_news_change_nothing(self, old):
        state = after_models(registered(1), answered(1, 1), registered(2), rollout(2, 2, replaces=1))
        assert on_model_event(state, recorded(old)) == (state, [])


class TestDegradation:
    TWO = (registered(1), answered(1, 1), registered(2), answered(2, 2))

    def test_it_is_only_told_unless_one_rolls_back_for_it(self):
        state = after_models(*self.TWO)
        assert on_model_event(state, recorded(degraded(2))) == (state, [])

    def test_the_version_before_is_asked_for_by_the_time_of_the_event(self):
        state = after_models(*self.TWO)
        after, actions = on_model_event(state, recorded(degraded(2), LATER), rolls_back=True)
        assert after == state
        assert actions == [Publish(rollback(1, LATER))]

    def test_two_findings_lead_to_one_rollback(self):
        state = after_models(*self.TWO, rollback(1, LATER))
        state, actions = on_model_event(state, recorded(degraded(2), LATER), rolls_back=True)
        assert actions == []
        state, _ = on_model_event(state, recorded(answered(1, 3)))
        assert on_model_event(state, recorded(degraded(2), LATER), rolls_back=True) == (state, [])

    def test_the_version_gone_back_to_may_degrade_and_the_one_left_does_not_come_back(self):
        state = after_models(*self.TWO, rollback(1), answered(1, 3))
        assert state.before is None
        assert on_model_event(state, recorded(degraded(1), LATER), rolls_back=True) == (state, [])

    def test_a_version_that_was_left_is_passed_over(self):
        state = after_models(*self.TWO, rollback(1), answered(1, 3), registered(3), answered(3, 4))
        _, actions = on_model_event(state, recorded(degraded(3), LATER), rolls_back=True)
        assert actions == [Publish(rollback(1, LATER))]

    def test_who_asks_for_a_version_by_name_gets_it_and_it_may_be_left_again(self):
        state = after_models(*self.TWO, rollback(1), answered(1, 3), rollback(2, LATER), answered(2, 4))
        assert (state.serving, state.before) == (2, 1)

    @pytest.mark.parametrize("version", [1, 3])
    def test_degradation_of_what_does_not_serve_changes_nothing(self, version):
        state = after_models(*self.TWO)
        assert on_model_event(state, recorded(degraded(version), LATER), rolls_back=True) == (state, [])

    def test_a_newer_version_on_its_way_is_waited_for(self):
        state = after_models(*self.TWO, registered(3))
        assert on_model_event(state, recorded(degraded(2), LATER), rolls_back=True) == (state, [])

    def test_a_row_kept_before_versions_were_remembered_is_read(self):
        kept = TypeAdapter(Rollouts).validate_python({"serving": 2, "newest": 2, "count": 2})
        assert kept.before is None
