"""Memory, disk and ports: what is taken, and what is said when it is not there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox import machine
from control_plane.sandbox.errors import SandboxError
from control_plane.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("kafka", "hdfs", "mlflow")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((machine.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_too_little_memory_is_said_with_both_amounts() -> None:
    with pytest.raises(SandboxError, match=r"0\.5 GiB of memory are available .* need 1\.5 GiB"):
        machine.check_memory(available=machine.GIB // 2)


def test_enough_memory_is_fine() -> None:
    machine.check_memory(available=2 * machine.GIB)


def test_a_cgroup_limit_counts_as_the_machines_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert machine.available_memory() == 600_000


def test_a_full_disk_is_said_with_the_folder_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=rf"disk of {tmp_path} .* PIPELINES_HOME"):
        machine.check_disk(tmp_path, needed=2**60)


def test_each_server_gets_a_port_of_its_own_that_no_client_is_given(tmp_path: Path) -> None:
    ports = machine.choose_ports(NAMES, tmp_path / "ports.json", {})
    assert len(set(ports.values())) == len(NAMES)
    assert all(20_000 <= port < machine._ephemeral_start() for port in ports.values())


def test_ports_are_the_same_the_next_time(tmp_path: Path) -> None:
    first = machine.choose_ports(NAMES, tmp_path / "ports.json", {})
    assert machine.choose_ports(NAMES, tmp_path / "ports.json", {}) == first


def test_a_remembered_port_that_is_taken_now_is_replaced(tmp_path: Path, taken_port: int) -> None:
    remembered = tmp_path / "ports.json"
    remembered.write_text(f'{{"kafka": {taken_port}, "hdfs": 20001}}')
    ports = machine.choose_ports(NAMES, remembered, {})
    assert ports["kafka"] != taken_port


def test_a_broken_memory_of_ports_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    assert set(machine.choose_ports(NAMES, tmp_path / "ports.json", {})) == set(NAMES)


def test_a_demanded_port_is_taken(tmp_path: Path) -> None:
    free = machine.choose_ports(["any"], tmp_path / "other.json", {})["any"]
    assert machine.choose_ports(NAMES, tmp_path / "ports.json", {"hdfs": free})["hdfs"] == free


def test_a_demanded_port_that_is_busy_is_said_with_its_setting(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(SandboxError, match=rf"Port {taken_port} for kafka is taken .* SANDBOX_KAFKA_PORT"):
        machine.choose_ports(NAMES, tmp_path / "ports.json", {"kafka": taken_port})


def test_ports_are_demanded_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_MLFLOW_PORT", "5000")
    assert SandboxSettings().demanded_ports() == {"mlflow": 5000}


def test_the_ports_of_a_crashed_run_are_waited_for_a_moment_only(tmp_path: Path, taken_port: int) -> None:
    (tmp_path / "ports.json").write_text(f'{{"kafka": {taken_port}}}')
    machine.await_release(tmp_path / "ports.json", timeout_s=0.1)
    assert not machine.is_free(taken_port)
