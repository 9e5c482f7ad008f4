from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from control_plane import audit_view, events, status, status_view
from control_plane.rollback import RollbackError, chosen
from tests.unit.control_plane.stories import BATCHES, MODELS, NOON, told


class TestAudit:
    def test_a_story_is_told_in_order_and_a_repeated_event_once(self):
        stories = audit_view.by_subject([*BATCHES, *MODELS])
        assert list(stories) == ["b1", "b2", "model 1", "model 2"]
        assert [record.event.type for record in stories["b1"]] == [
            "batch.arrived",
            "training.started",
            "training.failed",
            "training.started",
            "training.succeeded",
        ]

    def test_a_line_says_when_what_how_long_and_why(self):
        lines = [audit_view.line(record) for record in BATCHES]
        assert lines[0] == "2026-01-31T12:00:00.000Z  b1  batch.arrived  2 files, 1,000,000 bytes"
        assert lines[3].endswith("b1  training.failed  1.5  attempt 1: killed by SIGKILL")
        assert lines[6].endswith("b1  training.succeeded  42.2  attempt 2, model 1, run run-1")

    def test_a_reason_with_braces_is_told_as_it_is(self):
        failed = events.TrainingFailed(batch="b", attempt=3, reason="{batch}", final=True)
        assert audit_view.what(failed) == "attempt 3, the last: {batch}"

    def test_an_override_is_told_from_its_request_on(self):
        asked = events.TrainingRequested(batch="b", requested_at=NOON, accept_profile=True)
        begun = events.TrainingStarted(batch="b", attempt=4, first_attempt=4, accept_profile=True)
        assert audit_view.what(asked) == "anew, whatever its profile"
        assert audit_view.what(begun) == "attempt 4, whatever its profile"
        assert audit_view.what(asked.model_copy(update={"accept_profile": False})) == "anew"

    def test_a_line_of_json_has_the_fields_of_the_event(self):
        said = json.loads(audit_view.json_line(MODELS[1]))
        assert said["id"] == "rollout.started/1/1"
        assert said["data"] == {"version": 1, "rollout": 1, "replaces": None}

    def test_the_table_shows_every_event(self):
        console = Console(width=200, record=True, file=StringIO())
        console.print(audit_view.table(audit_view.by_subject([*BATCHES, *MODELS])))
        shown = console.export_text()
        assert shown.count("training.started") == 3
        assert "in place of model 1" in shown


class TestStatus:
    def test_batches_have_their_status_and_what_came_of_them(self):
        assert status.batches(BATCHES) == [
            {
                "batch": "b1",
                "status": "trained",
                "attempt": 2,
                "files": 2,
                "bytes": 1_000_000,
                "run_id": "run-1",
                "model_version": 1,
                "seconds": 42.25,
            },
            {"batch": "b2", "status": "training", "attempt": 1, "files": 1, "bytes": 10},
        ]

    def test_a_failed_attempt_shows_its_reason(self):
        assert status.batches(BATCHES[:4])[0]["reason"] == "killed by SIGKILL"

    def test_a_batch_that_is_asked_for_anew_has_no_reason_any_more(self):
        failed = events.TrainingFailed(batch="b1", attempt=2, reason="no rows", final=True)
        asked = events.TrainingRequested(batch="b1", requested_at=NOON + timedelta(hours=1))
        before = [*(record.event for record in BATCHES[:5]), failed]
        assert status.batches(told(*before))[0]["reason"] == "no rows"
        assert "reason" not in status.batches(told(*before, asked))[0]

    @pytest.mark.parametrize(
        ("events_read", "statuses"),
        [(1, ["starting"]), (3, ["serving"]), (4, ["serving", "starting"]), (6, ["replaced", "serving"])],
    )
    def test_models_go_from_starting_to_serving_to_replaced(self, events_read, statuses):
        assert [model["status"] for model in status.models(MODELS[:events_read])] == statuses

    def test_a_version_that_failed_to_start_says_why(self):
        failed = told(
            *(record.event for record in MODELS[:2]), events.RolloutFailed(version=1, rollout=1, reason="x")
        )
        assert status.models(failed)[0] | {"reason": "x"} == status.models(failed)[0]

    def test_the_last_to_lead_is_active_and_one_without_a_model_waits(self):
        said = [
            server("killed", "active", 1, epoch=1),
            server("leads", "active", 2, epoch=2),
            server("waits", "standby", None),
            server("comes", "starting", 2),
            server("watches", "shadow", 3, epoch=5),
        ]
        assert status.serving(said) == {
            "active": {"pid": 7, "pids": [7, 8], "model_version": 2, "epoch": 2},
            "standby": [{"pid": 7, "pids": [7, 8], "model_version": None}],
            "starting": [{"pid": 7, "pids": [7, 8], "model_version": 2}],
            "shadow": [{"pid": 7, "pids": [7, 8], "model_version": 3, "epoch": 5}],
        }

    def test_in_kubernetes_the_pod_stands_in_place_of_the_processes(self):
        said = events.ServerAnnouncement(
            server="s", role="active", model_version=1, epoch=1, pod="p", since=NOON
        )
        assert status.serving([said])["active"] == {"pod": "p", "model_version": 1, "epoch": 1}

    def test_without_servers_nothing_is_active(self):
        assert status.serving([]) == {"active": None, "standby": [], "starting": [], "shadow": []}

    def test_a_row_for_each_server_model_and_batch(self):
        now = {
            "serving": status.serving([server("s", "active", 2, epoch=2)]),
            "models": status.models(MODELS),
            "batches": status.batches(BATCHES),
        }
        assert list(status_view.rows(now)) == [
            ("server", "pid 7", "active", "model 2"),
            ("model", "1", "replaced", "trained on b1"),
            ("model", "2", "serving", "trained on b1, b2"),
            ("batch", "b1", "trained", "model 1"),
            ("batch", "b2", "training", ""),
        ]

    def test_earlier_ones_are_counted_where_there_are_many(self):
        batches = [{"batch": f"b{n}", "status": "trained"} for n in range(12)]
        now = {"serving": status.serving([]), "models": [], "batches": batches}
        first, second, *others = status_view.rows(now)
        assert first == ("batch", "2 earlier", "", "--json has all")
        assert second == ("batch", "b2", "trained", "")
        assert len(others) == 9

    def test_all_is_well_when_one_answers_and_one_stands_by(self):
        now = {
            "serving": status.serving([server("a", "active", 2, epoch=2), server("b", "standby", 2)]),
            "models": status.models(MODELS),
            "batches": status.batches(BATCHES),
        }
        found = status.complaints(now)
        assert found == []
        assert (
            status_view.verdict({"complaints": found, **now}) == "all is well: model 2 answers, 1 stands by"
        )

    @pytest.mark.parametrize(
        ("servers", "models", "batches", "complaint"),
        [
            ([], [], [], "there is no model yet"),
            ([], [{"model_version": 1, "status": "serving"}], [], "no server answers"),
            (["active"], [{"model_version": 1, "status": "serving"}], [], "no server stands by"),
            (
                ["active", "standby"],
                [{"model_version": 1, "status": "serving", "degraded": ["inputs", "rmse"]}],
                [],
                "model 1 has degraded: inputs, rmse",
            ),
            (
                ["active", "standby"],
                [{"model_version": 2, "status": "failed", "reason": "another digest"}],
                [],
                "model 2 did not come: another digest",
            ),
            (
                ["active", "standby"],
                [],
                [{"batch": "b1", "status": "failed", "reason": "no rows"}],
                "batch b1 failed: no rows",
            ),
        ],
    )
    def test_what_is_not_well_is_said(self, servers, models, batches, complaint):
        serving = status.serving([server(role, role, 1, epoch=1) for role in servers])
        now = {"serving": serving, "models": models, "batches": batches}
        assert status.complaints(now) == [complaint]
        assert status_view.verdict({"complaints": [complaint], **now}) == f"not all is well: {complaint}"

    def test_an_earlier_failure_is_no_complaint_any_more(self):
        serving = status.serving([server("a", "active", 1, epoch=1), server("b", "standby", 1)])
        batches = [{"batch": "b1", "status": "failed", "reason": "x"}, {"batch": "b2", "status": "trained"}]
        assert status.complaints({"serving": serving, "models": [], "batches": batches}) == []

    def test_a_version_that_degraded_says_in_what_until_it_is_rolled_out_anew(self):
        degraded = events.ModelDegraded(
            version=2, what="rmse", value=9.0, bound=5.0, window_start=NOON, window_end=NOON, windows=3
        )
        before = [record.event for record in MODELS]
        assert status.models(told(*before, degraded))[-1]["degraded"] == ["rmse"]
        again = [
            events.RolloutStarted(version=2, rollout=3, replaces=1),
            events.RolloutSucceeded(version=2, rollout=3, seconds=1.0),
        ]
        assert "degraded" not in status.models(told(*before, degraded, *again))[-1]


def server(name, role, version, epoch=None):
    return events.ServerAnnouncement(
        server=name, role=role, model_version=version, epoch=epoch, pid=7, pids=[7, 8], since=NOON
    )


class TestRollback:
    def test_without_a_version_it_goes_to_the_one_that_served_before(self):
        assert chosen(MODELS, None) == 1

    def test_a_registered_version_can_be_named(self):
        assert chosen(MODELS, 2) == 2

    def test_an_unknown_version_is_refused_with_those_that_are(self):
        with pytest.raises(RollbackError, match="version 9 was never registered; there are: 1, 2"):
            chosen(MODELS, 9)

    @pytest.mark.parametrize(
        ("events_read", "reason"), [(2, "no version serves yet"), (3, "version 1 is the first")]
    )
    def test_there_must_be_something_to_go_back_to(self, events_read, reason):
        with pytest.raises(RollbackError, match=reason):
            chosen(MODELS[:events_read], None)
