"""Whatever is wrong, the command line says it in one sentence with the remedy, and by its exit status.

None of this needs a server; ``tests/integration/test_wrong_usage.py`` has what does.
"""

from __future__ import annotations

import socket

import cjdk
import pytest
from typer.testing import CliRunner

from control_plane import complaints, logs
from control_plane.cli import app
from control_plane.sandbox import java, machine

USAGE, FAILURE = 2, 1
NOBODY = "127.0.0.1:1"
AWAY = {
    "KAFKA_BOOTSTRAP_SERVERS": NOBODY,
    "MLFLOW_TRACKING_URI": f"http://{NOBODY}",
    "HDFS_URL": f"http://{NOBODY}",
}
KAFKA_IS_AWAY = (
    f"Kafka at {NOBODY} does not answer: Connection refused. Is Kafka up, and KAFKA_BOOTSTRAP_SERVERS"
)
MLFLOW_IS_AWAY = (
    f"MLflow at http://{NOBODY} did not answer: Connection refused. Is MLflow up, and MLFLOW_TRACKING_URI"
)
HDFS_IS_AWAY = f"HDFS at http://{NOBODY} did not answer: Connection refused. Is HDFS up, and HDFS_URL"
LISTING = '{"make_name": "Ford", "model_name": "F-150", "year": 2019}'


@pytest.fixture(autouse=True)
def _logging_as_it_is(monkeypatch):
    monkeypatch.setattr(
        logs.structlog, "configure", lambda **_: None
    )  # the runner's stderr is gone afterwards


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the commands run: a few files, right and wrong ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "listing.json").write_text(LISTING)
    (tmp_path / "broken.json").write_text('{"make_name": ')
    (tmp_path / "cut.json").write_text('{"make_name": "Ford"}')
    (tmp_path / "two.json").write_text(f"{LISTING}\n{LISTING}\n")
    (tmp_path / "others.csv").write_text("vin,price\n1,2\n")
    (tmp_path / "short.csv").write_text("make_name,model_name,year\nFord,F-150\n")
    (tmp_path / "latin.csv").write_bytes("make_name\nCitroën\n".encode("latin-1"))
    (tmp_path / "empty.csv").touch()
    return tmp_path


def pipelines(*arguments, **environment):
    told = {"NO_COLOR": "1", "COLUMNS": "60", "PIPELINES_HOME": "home"} | AWAY | environment
    return CliRunner().invoke(app, list(arguments), env=told, prog_name="pipelines")


def is_one_sentence(said, status):
    assert said.exit_code == status, (said.output, said.exception)
    assert said.stderr.startswith("pipelines: ")
    assert said.stderr.count("\n") == 1
    assert "Traceback" not in said.output
    assert isinstance(said.exception, SystemExit)
    return said.stderr


@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        # what was typed
        ("statu", USAGE, "No such command 'statu'. Did you mean 'status'? `pipelines --help`"),
        ("watch batch", USAGE, "No such command 'batch'"),
        ("status --jso", USAGE, "No such option: --jso (Possible options: --json). `pipelines"),
        ("train", USAGE, "Missing argument 'batch'. `pipelines train --help`"),
        ("rollback zero", USAGE, "'version': Input should be a valid integer"),
        ("rollback 0", USAGE, "'version': Input should be greater than or equal to 1"),
        ("server postgres", USAGE, "'postgres' is not one of 'kafka', 'hdfs-namenode'"),
        ("audit answers", USAGE, "'predictions'"),
        ("metrics verify --horizon soon", USAGE, "'--horizon' (env var: 'MONITORING_PRICE_HORIZON')"),
        ("simulate traffic --rate 0", USAGE, "'--rate': Input should be greater than or equal to 0.1"),
        ("generate --rows 10 --out listing.json", USAGE, "'listing.json' is a file"),
        ("split --csv nowhere.csv --out parts", USAGE, "file 'nowhere.csv' does not exist"),
        ("replay", USAGE, "say where to begin: --since TIME, or --partition and --first"),
        ("replay --since yesterday", USAGE, "--since yesterday is no time like 2026-01-31T12:00:00Z"),
        ("replay --first 10", USAGE, "offsets are of one partition: give --partition as well"),
        ("backfill", USAGE, "Missing argument 'batches'"),
        # files
        ("predict nowhere.json", FAILURE, "nowhere.json cannot be read: No such file or directory"),
        ("predict .", FAILURE, ". cannot be read: Is a directory"),
        ("predict broken.json", FAILURE, "broken.json is not JSON: Expecting value"),
        ("predict others.csv", FAILURE, "others.csv is neither a JSON object nor CSV with the header"),
        ("predict short.csv", FAILURE, "short.csv has 2 fields under a header of 3"),
        ("predict latin.csv", FAILURE, "latin.csv is not a text in UTF-8"),
        ("explain cut.json", FAILURE, "cut.json gets no price: required columns missing: model_name, year"),
        ("explain two.json", FAILURE, "two.json holds 2 listings: give one"),
        ("split --csv others.csv --out parts", FAILURE, "its header lacks make_name, model_name, year"),
        ("split --csv empty.csv --out parts", FAILURE, "empty.csv is empty: give the dataset's CSV file"),
        ("generate --rows 10 --out /proc/nowhere", FAILURE, "/proc/nowhere cannot be used: No such file"),
        # servers that are away
        ("status", FAILURE, KAFKA_IS_AWAY),
        ("audit --json", FAILURE, KAFKA_IS_AWAY),
        ("audit predictions", FAILURE, KAFKA_IS_AWAY),
        ("metrics verify", FAILURE, KAFKA_IS_AWAY),
        ("predict listing.json", FAILURE, KAFKA_IS_AWAY),
        ("train batch-001", FAILURE, KAFKA_IS_AWAY),
        ("rollback", FAILURE, KAFKA_IS_AWAY),
        ("backfill b1 b2", FAILURE, KAFKA_IS_AWAY),
        ("replay --since 2026-01-31", FAILURE, KAFKA_IS_AWAY),
        ("shadow 1", FAILURE, KAFKA_IS_AWAY),
        ("shadow --off", FAILURE, KAFKA_IS_AWAY),
        ("shadow --compare", FAILURE, KAFKA_IS_AWAY),
        ("topics", FAILURE, KAFKA_IS_AWAY),
        ("watch all", FAILURE, KAFKA_IS_AWAY),
        ("simulate traffic", FAILURE, KAFKA_IS_AWAY),
        ("simulate batch b --rows 1", FAILURE, HDFS_IS_AWAY),
        ("explain listing.json", FAILURE, MLFLOW_IS_AWAY),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(command, status, sentence):
    assert sentence in is_one_sentence(pipelines(*command.split()), status)


@pytest.mark.parametrize(
    ("command", "variable", "value", "sentence"),
    [
        ("status", "MLFLOW_TRACKING_URI", "nonsense", "'nonsense': expects an address like http://host:port"),
        ("status", "LOG_LEVEL", "loud", "'LOUD': Input should be 'DEBUG', 'INFO'"),
        ("status", "LOG_FORMAT", "xml", "'xml': Input should be 'json' or 'console'"),
        ("topics", "TOPICS_PARTITIONS", "0", "'0': Input should be greater than or equal to 1"),
        ("web", "WEB_PORT", "99999", "'99999': Input should be less than or equal to 65535"),
        ("exporter", "EXPORTER_PORT", "http", "'http': Input should be a valid integer"),
        ("control-plane", "CONTROL_LAUNCHER", "docker", "'docker': Input should be 'local' or 'kubernetes'"),
    ],
)
def test_a_bad_setting_is_one_sentence_with_its_name(command, variable, value, sentence):
    said = is_one_sentence(pipelines(command, **{variable: value}), FAILURE)
    assert said.startswith(f"pipelines: {variable}={sentence}")


def test_a_setting_that_must_be_there_is_asked_for_with_its_meaning():
    said = is_one_sentence(pipelines("server", "kafka"), FAILURE)
    assert said.startswith("pipelines: SERVER_HOST must be set: the name by which clients")


def test_a_wrong_address_of_kafka_is_said_at_once():
    said = is_one_sentence(pipelines("status", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:http"), FAILURE)
    assert "127.0.0.1:http is no host:port" in said


def test_too_little_memory_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: machine.GIB // 2)
    said = is_one_sentence(pipelines("up"), FAILURE)
    assert "0.5 GiB of memory are available and the servers need 1.5 GiB: end other programs" in said


def test_an_old_java_and_no_other_is_said_with_what_to_install(monkeypatch, tmp_path):
    def refuse(**_):
        raise cjdk.InstallError("no network")

    home = tmp_path / "java-8"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text('JAVA_VERSION="1.8.0_392"\n')
    monkeypatch.setattr(machine, "available_memory", lambda: 8 * machine.GIB)
    monkeypatch.setattr(cjdk, "java_home", refuse)
    monkeypatch.setattr(java.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(java, "JVM_FOLDER", tmp_path / "nowhere")
    said = pipelines("up", JAVA_HOME=str(home), PATH="/nowhere", LOG_LEVEL="CRITICAL")
    last = said.stderr.splitlines()[-1]
    assert said.exit_code == FAILURE
    assert last.startswith(f"pipelines: This machine has Java 8 in {home}, and Java 17 or 21")
    assert "set JAVA_HOME to one" in last


def test_a_port_that_is_taken_is_said_with_its_variable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        said = is_one_sentence(pipelines("web", WEB_PORT=port), FAILURE)
    assert f"Port {port} for web is taken by another program: end it, or set WEB_PORT" in said


def test_a_home_that_cannot_be_made_is_said():
    said = is_one_sentence(pipelines("up", PIPELINES_HOME="/proc/nowhere"), FAILURE)
    assert "/proc/nowhere cannot be used: No such file or directory. Give another path" in said


@pytest.mark.parametrize(
    "command", ["predict nowhere.json", "status", "generate --rows 1 --out /proc/nowhere"]
)
def test_with_debug_the_traceback_shows(command):
    said = pipelines("--debug", *command.split())
    assert said.exit_code == FAILURE
    assert not isinstance(said.exception, SystemExit), "Python shows its traceback"


def test_nothing_at_all_shows_the_help():
    said = pipelines()
    assert said.exit_code == USAGE
    assert "Usage: pipelines" in said.output


def test_an_error_of_nobody_keeps_its_traceback():
    assert complaints.sentence(ZeroDivisionError("division by zero")) is None
    assert complaints.sentence(BrokenPipeError(32, "Broken pipe")) is None
