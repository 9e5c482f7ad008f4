"""A record of each kind, as they stand in the topics: one story of a batch, a model and a car."""

from __future__ import annotations

from datetime import UTC, datetime

from control_plane import events, records

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
_END = NOON.replace(minute=1)
_RUN = "3f0c5be7ea9b4b6b9d7d7a2a8a7c1d10"

EVENTS: tuple[events.Event, ...] = (
    events.BatchArrived(batch="batch-001", path="/batches/batch-001", files=4, bytes=52_428_800),
    events.TrainingRequested(batch="batch-001", requested_at=NOON, accept_profile=True),
    events.TrainingStarted(batch="batch-001", attempt=1),
    events.TrainingSucceeded(
        batch="batch-001", attempt=1, run_id=_RUN, version=1, seconds=57.6, logs="/logs/train-batch-001-1.log"
    ),
    events.TrainingFailed(
        batch="batch-002", attempt=3, reason="it was killed by SIGKILL", final=True, seconds=12.5
    ),
    events.ModelRegistered(
        version=1, model="used-car-price", run_id=_RUN, batches=["batch-001"], digest="sha256-of-its-files"
    ),
    events.RolloutStarted(version=2, rollout=2, replaces=1),
    events.RolloutSucceeded(version=2, rollout=2, seconds=22.7),
    events.RolloutFailed(version=2, rollout=2, reason="it did not answer within 300 s"),
    events.RollbackRequested(version=1, requested_at=NOON),
    events.ShadowRequested(version=3, requested_at=NOON),
    events.ShadowStopped(version=3, requested_at=NOON),
    events.ModelDegraded(
        version=2,
        what="inputs",
        value=4.0,
        bound=3.0,
        window_start=NOON,
        window_end=_END,
        windows=3,
        features=["make", "mileage", "year", "age"],
    ),
)

ANNOUNCEMENT = events.ServerAnnouncement(
    server="machine-4711",
    role="active",
    model_version=2,
    epoch=3,
    pid=4711,
    pids=[4711, 4712],
    since=NOON,
)

REQUEST = records.Request(
    "r-1", {"make_name": "Honda", "model_name": "Civic", "year": 2017, "mileage": 31_000}
)
PRICE = records.Price("r-1", 15_990.0, events.iso(NOON))
ANSWER = records.Answer(
    request_id="r-1",
    status="predicted",
    price=16_420.5,
    low=14_010.0,
    high=18_900.25,
    members={"gradient_boosting": 16_420.5, "linear_svm": 16_900.0, "linear_regression": 16_010.75},
    model_version=2,
    reason=None,
    partition=0,
    offset=17,
    epoch=3,
    requested_at=NOON,
)
WINDOWS = (
    records.ErrorWindow(
        window_start=NOON,
        window_end=_END,
        model_version=2,
        model="stack",
        count=146,
        rmse=3152.1,
        mae=1904.4,
        mape=0.078,
        bias=-12.5,
        r2=0.96,
        coverage=0.918,
    ),
    records.DriftWindow(
        window_start=NOON,
        window_end=_END,
        model_version=2,
        feature="mileage",
        psi=0.31,
        chance=0.08,
        count=146,
        missing=0.02,
    ),
    records.EstimateWindow(
        window_start=NOON,
        window_end=_END,
        model_version=2,
        count=146,
        half_width=4_310.5,
        mae=1_870.25,
        rmse=3_040.75,
    ),
)
