from __future__ import annotations

from datetime import timedelta

import pytest

from control_plane import events
from control_plane.exporter.control_log import ControlLog
from control_plane.failures import RefusedProfile
from tests.unit.control_plane.stories import BATCHES, MODELS, NOON, told
from tests.unit.exporter.exposition import series

NOW = NOON.timestamp()


def log_of(*records: events.Recorded) -> ControlLog:
    log = ControlLog()
    for record in records:
        log.take(record)
    return log


@pytest.fixture
def story() -> dict[str, float]:
    return series(log_of(*BATCHES, *MODELS).collect())


def test_trainings_are_counted_by_outcome_with_their_seconds(story):
    assert {name: value for name, value in story.items() if "training" in name.split("{")[0]} == {
        "trainings_started_total": 3,  # one of the four was told twice
        'trainings_total{outcome="succeeded"}': 1,
        'trainings_total{outcome="retried"}': 1,
        'trainings_total{outcome="failed"}': 0,
        'trainings_total{outcome="refused"}': 0,
        'training_duration_seconds_count{outcome="succeeded"}': 1,
        'training_duration_seconds_sum{outcome="succeeded"}': 42.25,
        'training_duration_seconds_count{outcome="retried"}': 1,
        'training_duration_seconds_sum{outcome="retried"}': 1.5,
        'training_duration_seconds_count{outcome="failed"}': 0,
        'training_duration_seconds_sum{outcome="failed"}': 0,
        'training_duration_seconds_count{outcome="refused"}': 0,
        'training_duration_seconds_sum{outcome="refused"}': 0,
        'last_training_end_timestamp_seconds{outcome="succeeded"}': NOW + 6,
        'last_training_end_timestamp_seconds{outcome="retried"}': NOW + 3,
    }


def test_rollouts_are_counted_by_outcome_with_their_seconds(story):
    assert {name: value for name, value in story.items() if "roll" in name} == {
        "rollouts_started_total": 2,
        'rollouts_total{outcome="succeeded"}': 2,
        'rollouts_total{outcome="failed"}': 0,
        'rollout_duration_seconds_count{outcome="succeeded"}': 2,
        'rollout_duration_seconds_sum{outcome="succeeded"}': 12.5,
        'rollout_duration_seconds_count{outcome="failed"}': 0,
        'rollout_duration_seconds_sum{outcome="failed"}': 0,
        'last_rollout_end_timestamp_seconds{outcome="succeeded"}': NOW + 5,
        "rollbacks_requested_total": 0,
    }


def test_the_queue_is_told_by_where_batches_are(story):
    assert {name: value for name, value in story.items() if name.startswith("batches")} == {
        'batches{status="waiting"}': 0,
        'batches{status="training"}': 1,
        'batches{status="trained"}': 1,
        'batches{status="failed"}': 0,
    }


def test_versions_are_counted_and_the_wanted_one_is_named(story):
    assert (story["models_registered_total"], story["wanted_model_version"]) == (2, 2)


def test_before_anything_happened_everything_is_nought_and_no_version_is_wanted():
    found = series(ControlLog().collect())
    assert set(found.values()) == {0}
    assert "wanted_model_version" not in found


def test_a_log_that_is_told_twice_counts_once():
    records = [*BATCHES, *MODELS]
    assert series(log_of(*records, *records).collect()) == series(log_of(*records).collect())


def test_a_final_failure_and_a_refused_batch_are_outcomes_of_their_own():
    refused = RefusedProfile(rows=10, findings=())
    log = log_of(
        *told(
            events.TrainingFailed(batch="b", attempt=3, reason="x", final=True, seconds=2.0),
            events.TrainingFailed(batch="c", attempt=1, reason="y", final=True, profile=refused),
        )
    )
    found = series(log.collect(), "training")
    assert found['trainings_total{outcome="failed"}'] == 1
    assert found['trainings_total{outcome="refused"}'] == 1
    assert found['training_duration_seconds_count{outcome="refused"}'] == 0  # nobody measured it


def test_a_failed_rollout_and_a_rollback_are_counted():
    log = log_of(
        *MODELS,
        *told(
            events.RolloutFailed(version=3, rollout=3, reason="x"),
            events.RollbackRequested(version=1, requested_at=NOON + timedelta(hours=1)),
        ),
    )
    found = series(log.collect())
    assert found['rollouts_total{outcome="failed"}'] == 1
    assert found["rollbacks_requested_total"] == 1
    assert found["wanted_model_version"] == 1


def test_the_runs_of_versions_are_known():
    assert log_of(*MODELS).runs == {1: "run-1", 2: "run-2"}
