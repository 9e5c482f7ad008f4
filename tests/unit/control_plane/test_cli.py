from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from control_plane import __version__, logs, progress, reachable, rollback
from control_plane.cli import app


@pytest.fixture(autouse=True)
def _logging_as_it_is(monkeypatch):
    monkeypatch.setattr(logs, "configure", lambda *_: None)  # the runner's stderr is gone after the test


def commands(group, *before):
    """Yield every command as it is typed."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, *before, name)
        else:
            yield " ".join((*before, name))


COMMANDS = sorted(commands(typer.main.get_command(app)))


def pipelines(*arguments, **environment):
    told = {"NO_COLOR": "1", "COLUMNS": "200"} | environment
    return CliRunner().invoke(app, list(arguments), env=told, prog_name="pipelines")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command):
    said = pipelines(*command.split(), "--help")
    assert said.exit_code == 0
    assert "Example:" in said.output


def test_that_a_command_works_is_shown_on_a_terminal_alone(monkeypatch, capsys):
    with progress.working("counting"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with progress.working("counting"):
        sys.stdout.write("1 2 3")
    said = capsys.readouterr()
    assert said.out == "1 2 3", "what is printed meanwhile goes where it would"
    assert "counting" in said.err


def test_help_waits_for_no_client_of_kafka_or_mlflow():
    program = (
        "import sys, control_plane.cli\n"
        "heavy = {'confluent_kafka', 'faust', 'mlflow', 'hdfs', 'kubernetes', 'pandas', 'numpy'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_version_is_told():
    assert pipelines("--version").output == f"pipelines {__version__}\n"


def test_a_wrong_setting_is_one_sentence_with_its_name():
    said = pipelines("status", MLFLOW_TRACKING_URI="nonsense")
    assert said.exit_code == 1
    assert said.stderr.startswith("pipelines: MLFLOW_TRACKING_URI='nonsense': ")
    assert said.stderr.count("\n") == 1


def test_an_error_of_ours_is_one_sentence_and_a_traceback_only_on_demand(monkeypatch):
    def refuse(*_):
        raise rollback.RollbackError("there is no version to go back to")

    monkeypatch.setattr(rollback, "request", refuse)
    monkeypatch.setattr(reachable, "complaint", lambda _: None)
    said = pipelines("rollback")
    assert (said.exit_code, said.stderr) == (1, "pipelines: there is no version to go back to\n")
    assert isinstance(pipelines("--debug", "rollback").exception, rollback.RollbackError)


def test_an_error_of_nobody_is_not_hidden(monkeypatch):
    def break_down(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(rollback, "request", break_down)
    monkeypatch.setattr(reachable, "complaint", lambda _: None)
    assert isinstance(pipelines("rollback").exception, ZeroDivisionError)


def test_a_version_below_one_is_refused():
    assert pipelines("rollback", "0").exit_code == 2


def test_a_listing_that_cannot_be_read_is_said_before_anything_starts():
    said = pipelines("explain", "no-such-file.json")
    assert (said.exit_code, said.stderr) == (
        1,
        "pipelines: no-such-file.json cannot be read: No such file or directory\n",
    )


def test_an_explanation_needs_mlflow(tmp_path):
    (tmp_path / "listing.json").write_text('{"make_name": "Ford", "model_name": "F-150", "year": 2019}')
    said = pipelines("explain", f"{tmp_path}/listing.json", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert said.exit_code == 1
    assert said.stderr.endswith("Is MLflow up, and MLFLOW_TRACKING_URI what `pipelines up` printed?\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell):
    script = pipelines(_PIPELINES_COMPLETE=f"source_{shell}")
    assert script.exit_code == 0
    assert "_PIPELINES_COMPLETE" in script.output


def test_a_shell_is_told_the_commands_that_begin_as_typed():
    said = pipelines(_PIPELINES_COMPLETE="complete_bash", COMP_WORDS="pipelines sta", COMP_CWORD="1")
    assert said.output.split() == ["status"]


@pytest.mark.parametrize("arguments", [[], ["3", "--off"], ["--off", "--compare"]])
def test_a_shadow_is_a_version_or_none(arguments):
    said = pipelines("shadow", *arguments)
    assert said.exit_code == 2
    assert "name a version, or --off, or --compare" in said.output
