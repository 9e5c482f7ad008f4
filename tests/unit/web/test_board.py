from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from control_plane import events, topics
from control_plane.web import board as boards
from control_plane.web.board import Board
from tests.unit.control_plane.stories import BATCHES, MODELS, NOON, told
from tests.unit.exporter import records

NOON_MS = round(NOON.timestamp() * 1000)


def answered(board: Board, offset: int, *, at: int = 0, late: int = 5, **parts: Any):
    """Let the board read an answer that was recorded ``at`` ms after noon."""
    requested = datetime.fromtimestamp((NOON_MS + at - late) / 1000, UTC)
    value = {
        "request_id": f"r-{offset}",
        "status": "predicted",
        "price": 20_000.0,
        "low": 17_000.0,
        "high": 24_000.0,
        "members": {"linear_svm": 19_000.0},
        "model_version": 1,
        "reason": None,
        "partition": 0,
        "offset": offset,
        "epoch": 1,
        "requested_at": events.iso(requested),
    }
    return board.take(topics.PREDICTIONS, None, json.dumps(value | parts).encode(), NOON_MS + at)


def tell(board: Board, records: list[events.Recorded]) -> None:
    for record in records:
        _, value = events.encode(record.event, source=record.source, time=record.time)
        board.take(record.event.topic, None, value, NOON_MS)


def changed(board: Board, seconds: float = 1) -> dict[str, Any]:
    sections = board.changed(NOON.timestamp() + seconds)
    json.dumps(sections)  # whatever it shows can be sent
    return sections


def test_an_empty_board_shows_every_section():
    sections = changed(Board(60))
    assert set(sections) == {
        *("serving", "errors", "drift", "handovers", "batches", "models", "traffic", "latency")
    }
    assert sections["batches"] == sections["models"] == sections["handovers"] == []
    nobody = {"active": None, "standby": [], "starting": [], "shadow": []}
    assert sections["serving"] == nobody | {"since": None}
    assert sections["traffic"]["last_answer"] is None


def test_only_what_changed_is_shown_again():
    board = Board(60)
    changed(board)
    assert set(changed(board)) == {"traffic", "latency"}
    tell(board, MODELS[:1])
    assert set(changed(board)) == {"traffic", "latency", "models", "handovers"}
    tell(board, BATCHES[:1])
    assert set(changed(board)) == {"traffic", "latency", "batches"}


def test_a_batch_has_its_status_and_its_story_and_the_newest_comes_first():
    board = Board(60)
    tell(board, BATCHES)
    second, first = changed(board)["batches"]
    assert (second["batch"], second["status"], first["batch"], first["status"]) == (
        "b2",
        "training",
        "b1",
        "trained",
    )
    assert [one["type"] for one in first["story"]] == [
        "batch.arrived",
        "training.started",
        "training.failed",
        "training.started",
        "training.succeeded",
    ]
    assert first["story"][2]["what"] == "attempt 1: killed by SIGKILL"
    assert first["story"][4]["seconds"] == 42.25


def test_a_model_has_its_status_and_its_story():
    board = Board(60)
    tell(board, MODELS)
    models = changed(board)["models"]
    assert [(model["model_version"], model["status"]) for model in models] == [
        (2, "serving"),
        (1, "replaced"),
    ]
    assert models[0]["batches"] == ["b1", "b2"]
    assert models[0]["story"][1]["what"] == "rollout 2, in place of model 1"


def test_a_long_log_is_shown_by_its_newest_stories(monkeypatch):
    monkeypatch.setattr(boards, "MOST_STORIES", 1)
    board = Board(60)
    tell(board, BATCHES)
    assert [batch["batch"] for batch in changed(board)["batches"]] == ["b2"]


def test_the_first_answer_to_a_request_is_the_answer():
    board = Board(60)
    assert answered(board, 7) is not None
    assert answered(board, 7, at=500, epoch=9, model_version=9) is None
    sections = changed(board)
    assert (sections["traffic"]["answered"], sections["traffic"]["repeated"]) == (1, 1)
    assert sections["handovers"] == []
    assert board.answered_to == {0: 8}


def test_what_is_remembered_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr(boards, "RECENT_ANSWERS", 10)
    board = Board(60)
    for offset in range(100):
        answered(board, offset)
    assert len(board._recent) == 10


def test_latency_is_the_answers_record_time_less_its_requests():
    board = Board(60)
    answered(board, 0, late=5)
    answered(board, 1, late=40, status="rejected", price=None, low=None, high=None, members=None, reason="x")
    traffic = changed(board)["traffic"]
    assert (traffic["p50"], traffic["worst"], traffic["rejected"]) == (5, 40, 1)
    assert traffic["last_answer"] == NOON.timestamp()


def test_a_new_epoch_is_a_hand_over_and_the_first_that_is_seen_is_none():
    board = Board(60)
    answered(board, 0, at=0)
    answered(board, 1, at=100, epoch=2)
    answered(board, 2, at=200, epoch=2)
    answered(board, 3, at=300, epoch=3, model_version=2)
    seen = changed(board)["handovers"]
    assert [(one["epoch"], one["model_version"], one["replaces"]) for one in seen] == [(2, 1, 1), (3, 2, 1)]
    assert seen[1]["at"] == NOON.timestamp() + 0.3


def test_a_rollout_in_the_log_and_its_answers_are_one_hand_over():
    board = Board(60)
    tell(board, MODELS)
    assert [(one["model_version"], one["epoch"]) for one in changed(board)["handovers"]] == [
        (1, None),
        (2, None),
    ]
    answered(board, 0, at=0)
    answered(board, 1, at=4500, epoch=2, model_version=2)
    assert [(one["model_version"], one["epoch"]) for one in changed(board)["handovers"]] == [
        (1, None),
        (2, 2),
    ]


def test_the_same_event_told_twice_is_one():
    board = Board(60)
    tell(board, [*MODELS, *MODELS[-1:]])
    assert len(changed(board)["handovers"]) == 2


def test_a_server_that_leads_and_one_that_is_gone():
    board = Board(60)
    said = events.ServerAnnouncement(server="a", role="active", model_version=1, epoch=4, pid=1, since=NOON)
    standby = said.model_copy(update={"server": "b", "role": "standby", "epoch": None})
    for server in (said, standby):
        board.take(topics.CONTROL_SERVERS, server.key, server.encode(), NOON_MS)
    serving = changed(board)["serving"]
    assert (serving["active"]["epoch"], serving["since"], len(serving["standby"])) == (4, NOON.timestamp(), 1)
    board.take(topics.CONTROL_SERVERS, standby.key, None, NOON_MS)
    assert changed(board)["serving"]["standby"] == []


def test_what_cannot_be_read_is_counted_and_changes_nothing():
    board = Board(60)
    changed(board)
    garbage = (
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"kind": "error"}',
        b"[" * 100_000,
        b"null",
        b'"\xed\xa0\x80"',
    )
    readers = (topics.PREDICTIONS, topics.METRICS, topics.CONTROL_BATCHES, topics.CONTROL_MODELS)
    for topic in readers:
        for value in garbage:
            board.take(topic, None, value, NOON_MS)
    board.take(topics.CONTROL_SERVERS, b"a", b"garbage", NOON_MS)
    sections = changed(board)
    assert sections["traffic"]["unreadable"] == len(readers) * len(garbage) + 1
    assert not {"errors", "batches", "models", "serving"} & set(sections)


def test_a_window_of_the_far_future_does_not_make_the_others_old():
    board = Board(3600)
    for end in ("2026-01-31T12:00:00.000Z", "9999-01-01T00:00:00.000Z"):
        parts = dict.fromkeys(("rmse", "mae", "mape", "bias", "r2", "coverage"), 1.0)
        span = {"window_start": "2026-01-31T11:59:00.000Z", "window_end": end}
        value = {"kind": "error", **span, "model_version": 1, "model": "stack", "count": 1, **parts}
        board.take(topics.METRICS, None, json.dumps(value).encode(), NOON_MS)
    sections = changed(board)
    assert sections["errors"]["times"] == [NOON.timestamp()]
    assert sections["traffic"]["unreadable"] == 1


def test_drift_is_a_section_of_its_own_and_its_events_are_in_the_models_story():
    board = Board(60)
    changed(board)
    board.take(topics.METRICS, None, records.drift(), NOON_MS)
    board.take(topics.METRICS, None, records.estimate(), NOON_MS)
    degraded = events.ModelDegraded(
        version=1, what="inputs", value=2, bound=2, window_start=NOON, window_end=NOON, windows=3,
        features=["make", "mileage"],
    )  # fmt: skip
    tell(board, [*MODELS, *told(degraded)])

    sections = changed(board)

    assert "errors" not in sections
    assert [one["feature"] for one in sections["drift"]["features"]] == ["mileage"]
    assert sections["drift"]["expected"]["rmse"] == 3_000
    [first] = [model for model in sections["models"] if model["model_version"] == 1]
    assert first["story"][-1]["type"] == "model.degraded"
    assert first["story"][-1]["what"] == "2 inputs have drifted (make, mileage) in 3 windows in a row"


def test_metrics_of_another_kind_are_none_of_its_business():
    board = Board(60)
    changed(board)
    board.take(topics.METRICS, None, b'{"kind": "weather", "rain": 0.2}', NOON_MS)
    sections = changed(board)
    assert "errors" not in sections
    assert sections["traffic"]["unreadable"] == 0


def test_a_failed_rollout_is_no_hand_over():
    board = Board(60)
    failed = events.RolloutFailed(version=2, rollout=2, reason="it crashed")
    tell(board, told(*(record.event for record in MODELS[:5]), failed))
    sections = changed(board)
    assert len(sections["handovers"]) == 1
    assert sections["models"][0]["reason"] == "it crashed"
