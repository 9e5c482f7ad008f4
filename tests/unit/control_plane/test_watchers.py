from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from control_plane import events
from control_plane.registry import ModelVersion, RegistryUnavailableError
from control_plane.settings import Servers
from control_plane.storage import LandedBatch
from control_plane.watchers import arrivals, registrations, watch_every

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def recorded(event):
    return events.Recorded(id=event.id, source="/tests", time=NOON, event=event)


def landed(batch):
    return LandedBatch(batch, f"/batches/{batch}", files=2, bytes=100, completed_ms=0)


def test_every_landed_batch_is_new_to_an_empty_log():
    assert arrivals([landed("b1"), landed("b2")], known=[]) == [
        events.BatchArrived(batch="b1", path="/batches/b1", files=2, bytes=100),
        events.BatchArrived(batch="b2", path="/batches/b2", files=2, bytes=100),
    ]


def test_a_batch_that_the_log_knows_is_not_told_again():
    known = [recorded(event) for event in arrivals([landed("b1")], known=[])]
    assert [event.batch for event in arrivals([landed("b1"), landed("b2")], known)] == ["b2"]


def test_a_batch_of_which_the_log_knows_only_a_training_is_still_told():
    known = [recorded(events.TrainingStarted(batch="b1", attempt=1))]
    assert [event.batch for event in arrivals([landed("b1")], known)] == ["b1"]


def test_a_version_is_told_once_with_what_it_was_trained_on():
    version = ModelVersion(1, run_id="r", job="train-b1-1", batches=("b1", "b0"), digest="d")
    (event,) = registrations([version], known=[], model="m")
    assert event == events.ModelRegistered(version=1, model="m", run_id="r", batches=["b1", "b0"], digest="d")
    assert registrations([version], [recorded(event)], model="m") == []


class Over(Exception):  # noqa: N818
    pass


def test_an_outage_is_one_warning_and_the_end_of_it_one_line():
    answers = iter([None, RegistryUnavailableError("away"), RegistryUnavailableError("away"), None, Over()])

    def watch_models(_servers):
        if answer := next(answers):
            raise answer

    with capture_logs() as logs, pytest.raises(Over):
        watch_every(3, [watch_models], Servers(), pause=lambda _: None)
    assert [entry["event"] for entry in logs] == ["watcher.server_away", "watcher.server_back"]


def test_a_round_is_seen_from_outside_even_when_a_server_is_away(tmp_path):
    def watch_models(_servers):
        raise RegistryUnavailableError("away")

    def pause(_seconds):
        raise Over

    with pytest.raises(Over):
        watch_every(3, [watch_models], Servers(), heartbeat=tmp_path / "heartbeat", pause=pause)
    assert (tmp_path / "heartbeat").exists()
