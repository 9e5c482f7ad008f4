from __future__ import annotations

import socket
from pathlib import Path

import pytest

from control_plane.doctor import machine
from control_plane.doctor.findings import Level
from control_plane.sandbox.java import Java
from control_plane.sandbox.machine import GIB, HOST

JAVA_17, JAVA_8 = Java(Path("/jvm/17"), 17), Java(Path("/jvm/8"), 8)


@pytest.fixture
def taken_port():
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def level(findings):
    return findings[0].level


def test_packages_are_compared_by_their_canonical_names_and_markers():
    required = ["Grafana_SDK>=2", "old; python_version < '3'", "typer"]
    assert level(machine.packages({"grafana-sdk": "2.1", "typer": "0.15"}, required)) is Level.OK


@pytest.mark.parametrize(
    ("installed", "said"), [({}, "typer is missing"), ({"typer": "0.1"}, "typer 0.1 (>=1)")]
)
def test_a_package_that_is_not_as_required_is_a_problem(installed, said):
    (found,) = machine.packages(installed, ["typer>=1"])
    assert (found.level, found.remedy) == (Level.PROBLEM, "make setup")
    assert said in found.found


def test_the_packages_of_this_environment_are_as_required():
    assert [found.level for found in machine.python_and_packages()] == [Level.OK, Level.OK]


def test_a_java_that_can_be_used_is_named():
    (found,) = machine.java_runtime([JAVA_8, JAVA_17], None)
    assert (found.level, found.found) == (Level.OK, "17 in /jvm/17")


def test_an_old_java_in_java_home_is_passed_over(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    (tmp_path / "release").write_text('JAVA_VERSION="1.8.0_392"\n')
    (found,) = machine.java_runtime([JAVA_17], str(tmp_path))
    assert found.level is Level.WARNING
    assert found.found == f"JAVA_HOME={tmp_path} is Java 8, and it is passed over"


def test_a_java_home_without_java_is_said():
    (found,) = machine.java_runtime([], "/nowhere")
    assert found.found == "JAVA_HOME=/nowhere holds no Java, and there is no other"


def test_no_java_is_worth_a_look_only_since_setup_fetches_one():
    (found,) = machine.java_runtime([JAVA_8], None)
    assert (found.level, "make setup" in (found.remedy or "")) == (Level.WARNING, True)


@pytest.mark.parametrize(("gib", "expected"), [(1, "problem"), (3, "warning"), (6, "ok")])
def test_memory_is_judged_by_what_servers_and_system_need(gib, expected):
    assert level(machine.memory(gib * GIB, to_start=True)) == expected
    assert level(machine.memory(gib * GIB, to_start=False)) is Level.OK


def test_the_disk_of_a_home_that_is_not_there_yet_is_that_of_its_nearest_parent(tmp_path):
    assert level(machine.disk(tmp_path / "a" / "b", to_start=False)) is Level.OK
    assert not (tmp_path / "a").exists()


def test_a_demanded_port_that_is_taken_is_a_problem(taken_port):
    (found,) = machine.ports({"WEB_PORT": taken_port})
    assert (found.level, f"WEB_PORT={taken_port}" in found.found) == (Level.PROBLEM, True)


def test_ports_are_those_that_settings_demand(monkeypatch):
    monkeypatch.setenv("SANDBOX_HDFS_PORT", "9870")
    monkeypatch.setenv("WEB_PORT", "8080")
    assert machine.demanded_ports() == {"SANDBOX_HDFS_PORT": 9870, "WEB_PORT": 8080}
