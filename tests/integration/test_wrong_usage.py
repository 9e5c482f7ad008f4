"""What is wrong with what is asked of servers that run is one sentence, too."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from control_plane import audit, events, logs
from control_plane.cli import app
from control_plane.settings import Topics
from control_plane.topics import ensure_topics


@pytest.fixture
def pipelines(sandbox, monkeypatch):
    """The command line on the sandbox, with the system's topics."""
    ensure_topics(sandbox.kafka_bootstrap_servers, Topics())
    monkeypatch.setattr(
        logs.structlog, "configure", lambda **_: None
    )  # the runner's stderr is gone afterwards

    def run(*arguments, given=None, **environment):
        told = sandbox.environment() | {"NO_COLOR": "1"} | environment
        return CliRunner().invoke(app, list(arguments), env=told, input=given, prog_name="pipelines")

    return run


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("train no-such-batch", "batch no-such-batch never arrived; the last that did: "),
        ("backfill no-such-batch", "batch no-such-batch never arrived; the last that did: "),
        ("replay --partition 99 --first 0", "listings has no partition 99; there are "),
        ("rollback 999999", "model version 999999 was never registered; there are: "),
    ],
)
def test_what_does_not_exist_is_said_with_what_does(pipelines, command, sentence):
    said = pipelines(*command.split())
    assert (said.exit_code, said.stderr.count("\n")) == (1, 1)
    assert said.stderr.startswith(f"pipelines: {sentence}")


def test_nobody_who_answers_is_said_with_where_to_look(pipelines):
    said = pipelines("predict", "--patience", "1", given='{"make_name": "Ford"}')
    assert said.exit_code == 1
    assert said.stderr == (
        "pipelines: 1 of 1 requests have no answer after 1 s. "
        "Is a model being served? `pipelines status` says so.\n"
    )


def test_another_kafka_lacks_the_topics(sandbox, pipelines, monkeypatch):
    monkeypatch.setattr(events, "MODELS", "control.elsewhere")
    said = pipelines("rollback")
    assert said.exit_code == 1
    assert "there is no topic control.elsewhere at" in said.stderr
    assert "`pipelines topics` makes it" in said.stderr


def test_a_server_of_another_kind_is_not_taken_for_mlflow_or_hdfs(pipelines, sandbox):
    said = pipelines("watch", "batches", HDFS_URL=sandbox.mlflow_tracking_uri)
    assert (said.exit_code, said.stderr.count("\n")) == (1, 1)
    assert f"HDFS at {sandbox.mlflow_tracking_uri} did not answer" in said.stderr


def test_what_exists_is_read(sandbox, pipelines):
    assert pipelines("status", "--json").exit_code == 0
    assert isinstance(audit.read(sandbox.kafka_bootstrap_servers, events.BATCHES), list)
