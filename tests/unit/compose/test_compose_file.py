"""docker-compose.yml as data: every part is there, restricted, bounded, watched, and open to nobody else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = {"kafka", "hdfs-namenode", "hdfs-datanode", "mlflow"}
APPS = {"control-plane", "serving", "monitoring", "watch-batches", "watch-models", "web", "exporter"}
SIMULATOR = {"simulator"}
SHADOW = {"shadow"}
OBSERVABILITY = {"prometheus", "grafana"}
VARIABLE = re.compile(r"\$\{(\w+):-")

each_service = pytest.mark.parametrize("name", SERVICES)


def mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is mounted (a volume's name, or a path) and where."""
    return [tuple(volume.split(":")[:2]) for volume in service.get("volumes", [])]


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s")) if duration.endswith("s") else 60 * int(duration.removesuffix("m"))


def test_every_part_of_the_system_is_a_service():
    assert set(SERVICES) == SERVERS | APPS | SIMULATOR | SHADOW | OBSERVABILITY


def test_what_nobody_needs_is_under_a_profile():
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert {name for name, found in profiles.items() if found == ["simulator"]} == SIMULATOR
    assert {name for name, found in profiles.items() if found == ["shadow"]} == SHADOW
    assert {name for name, found in profiles.items() if found == ["observability"]} == OBSERVABILITY
    assert all(not found for name, found in profiles.items() if name in SERVERS | APPS)


@each_service
def test_a_container_may_do_next_to_nothing(name):
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), "somebody, and not root"
    for granted in ("privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"):
        assert granted not in service


@each_service
def test_a_container_sees_nothing_of_the_machine_but_configuration_files(name):
    for source, _ in mounts(SERVICES[name]):
        assert source in COMPOSE["volumes"] or source.startswith("./k8s/components/observability/"), source
    for volume in SERVICES[name].get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"] or volume.endswith(":ro")
    assert "docker.sock" not in str(SERVICES[name])


@each_service
def test_a_container_is_bounded(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"]["driver"] == "local", "which rotates"
    for tmpfs in service.get("tmpfs", []):
        assert "size=" in tmpfs


@each_service
def test_a_port_is_published_where_bind_address_says(name):
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("${BIND_ADDRESS:-127.0.0.1}:"), port


@pytest.mark.parametrize("name", sorted(set(SERVICES) - SIMULATOR))
def test_what_keeps_running_is_watched_and_started_again(name):
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert check["start_period"], "a start under load takes its time"
    assert SERVICES[name]["restart"] == "unless-stopped"


@each_service
def test_what_a_container_waits_for_is_healthy(name):
    conditions = {other: one["condition"] for other, one in SERVICES[name].get("depends_on", {}).items()}
    if name in {"serving", "monitoring"}:  # they come after who builds their image, and do not need it
        assert conditions.pop("control-plane") == "service_started"
    assert set(conditions.values()) <= {"service_healthy"}
    assert all("healthcheck" in SERVICES[other] for other in conditions)


def test_what_must_outlast_a_container_is_on_a_volume_of_its_own():
    owners: dict[str, list[str]] = {}
    for name, service in SERVICES.items():
        for source, _ in mounts(service):
            if source in COMPOSE["volumes"]:
                owners.setdefault(source, []).append(name)
    assert owners == {name: [name] for name in COMPOSE["volumes"]}
    assert set(owners) >= SERVERS | {"control-plane", "serving", "monitoring"}


def test_the_images_are_those_of_kubernetes():
    for name in SERVERS | APPS | SIMULATOR | SHADOW:
        image = "servers" if name in SERVERS else "pipelines"
        assert SERVICES[name]["image"] == f"${{REGISTRY:-localhost}}/car-price-{image}:${{TAG:-dev}}"


def test_an_image_is_built_by_one_service_which_comes_before_the_others():
    builds = {name: service["build"] for name, service in SERVICES.items() if "build" in service}
    assert {name: build["target"] for name, build in builds.items()} == {
        "kafka": "servers",
        "control-plane": "pipelines",
    }
    for build in builds.values():
        assert (ROOT / build["context"] / build["dockerfile"]).exists()
    for name in APPS | SIMULATOR | SHADOW:
        assert (
            "control-plane" in {name, *SERVICES[name]["depends_on"]}
            or "serving" in SERVICES[name]["depends_on"]
        )


def test_an_image_of_others_is_pinned():
    for name in OBSERVABILITY:
        assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])


def test_prometheus_reads_what_it_reads_on_kubernetes_but_asks_the_exporter():
    folder = ROOT / "k8s/components/observability/prometheus"
    here, there = (yaml.safe_load((folder / name).read_text()) for name in ("compose.yml", "prometheus.yml"))
    [job] = [one for one in here["scrape_configs"] if one["job_name"] == "car-price"]
    assert job["static_configs"] == [{"targets": ["exporter:9464"]}]
    job["static_configs"] = [{"targets": ["web:8080"]}]
    assert here == there
    assert "--config.file=/etc/prometheus/compose.yml" in SERVICES["prometheus"]["command"]


def test_a_server_of_two_spark_sessions_has_memory_for_their_checkpoints():
    [shared] = [tmpfs for tmpfs in SERVICES["serving"]["tmpfs"] if tmpfs.startswith("/dev/shm")]  # noqa: S108
    assert "exec" in shared.split(":")[1].split(","), "native libraries are unpacked there"


@each_service
def test_a_service_has_the_time_to_stop_in_order(name):
    if name in SERVERS | SIMULATOR | SHADOW | {"serving", "monitoring", "control-plane"}:
        assert seconds(SERVICES[name]["stop_grace_period"]) >= 20


def test_every_variable_is_named_at_the_top():
    text = (ROOT / "docker-compose.yml").read_text()
    head = text.split("\nname:", maxsplit=1)[0]
    assert set(VARIABLE.findall(text)) == set(re.findall(r"\b[A-Z]+_[A-Z_]+\b|\bREGISTRY\b|\bTAG\b", head))
