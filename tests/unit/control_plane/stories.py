"""A story of two batches and two models, as the control topics tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from control_plane import events

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def told(*story: events.Event) -> list[events.Recorded]:
    return [
        events.Recorded(id=event.id, source="/tests", time=NOON + timedelta(seconds=second), event=event)
        for second, event in enumerate(story)
    ]


BATCHES = told(
    events.BatchArrived(batch="b1", path="/batches/b1", files=2, bytes=1_000_000),
    events.BatchArrived(batch="b2", path="/batches/b2", files=1, bytes=10),
    events.TrainingStarted(batch="b1", attempt=1),
    events.TrainingFailed(batch="b1", attempt=1, reason="killed by SIGKILL", final=False, seconds=1.5),
    events.TrainingStarted(batch="b1", attempt=2),
    events.TrainingStarted(batch="b1", attempt=2),
    events.TrainingSucceeded(batch="b1", attempt=2, run_id="run-1", version=1, seconds=42.25),
    events.TrainingStarted(batch="b2", attempt=1),
)
MODELS = told(
    events.ModelRegistered(version=1, model="used-car-price", run_id="run-1", batches=["b1"]),
    events.RolloutStarted(version=1, rollout=1, replaces=None),
    events.RolloutSucceeded(version=1, rollout=1, seconds=9.5),
    events.ModelRegistered(version=2, model="used-car-price", run_id="run-2", batches=["b1", "b2"]),
    events.RolloutStarted(version=2, rollout=2, replaces=1),
    events.RolloutSucceeded(version=2, rollout=2, seconds=3.0),
)
