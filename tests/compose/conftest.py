"""What the tests on docker compose share. They run on the engine of DOCKER_HOST, and are skipped without one.

The engine must have the images that ``k8s/images/build`` or ``docker compose build`` makes. BIND_ADDRESS and
PUBLIC_HOST say where its ports are published, as docker-compose.yml reads them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import KafkaException

from control_plane.audit import LogUnavailableError
from control_plane.status import status

ROOT = Path(__file__).parents[2]
PROJECT = "car-price-story"  # never one that somebody uses
PORTS = {
    "WEB_PORT": "18080",
    "EXPORTER_PORT": "19464",
    "KAFKA_PORT": "19092",
    "MLFLOW_PORT": "15000",
    "HDFS_PORT": "19870",
}
TIMEOUT_S = 600


class Compose:
    """docker compose, on a project of the tests' own."""

    def __init__(self, docker: str) -> None:
        self._docker = docker
        self.host = os.environ.get("PUBLIC_HOST") or os.environ.get("BIND_ADDRESS") or "127.0.0.1"
        self.kafka = f"{self.host}:{PORTS['KAFKA_PORT']}"
        self.typed: set[str] = set()
        self._differs = {
            "--build": "--no-build --pull=never",
            "127.0.0.1:9870": f"{self.host}:{PORTS['HDFS_PORT']}",
            "127.0.0.1:9864": f"{self.host}:9864",
        }

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run docker compose and return what it prints."""
        return self._run([self._docker, "compose", *arguments], ROOT, check=check)

    def type(self, *lines: str, folder: Path = ROOT) -> str:
        """Type lines of the README into one shell and return what they print.

        What differs: images are there already, and the project's ports and address are other ones.
        """
        self.typed.update(lines)
        script = "\n".join(lines)
        for told, here in self._differs.items():
            script = script.replace(told, here)
        return self._run(["bash", "-euo", "pipefail", "-c", script], folder)

    def _run(self, command: list[str], folder: Path, *, check: bool = True) -> str:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | PORTS | {"COMPOSE_PROJECT_NAME": PROJECT},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]} {done.stderr}"
        return done.stdout.strip()

    def fetch(self, port: str, path: str = "/") -> str:
        """Return what one of :data:`PORTS` serves over HTTP."""
        answer = requests.get(f"http://{self.host}:{PORTS[port]}{path}", timeout=30)
        answer.raise_for_status()
        return answer.text

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a service's container."""
        return self.run("exec", "-T", service, *command)

    def status(self) -> dict[str, Any]:
        """Return what ``pipelines status --json`` says, empty while Kafka is away."""
        try:
            return status(self.kafka)
        except (LogUnavailableError, KafkaException):
            return {}

    def batch(self, name: str) -> str | None:
        """Return the status of a batch."""
        return {one["batch"]: one["status"] for one in self.status().get("batches", [])}.get(name)

    def model(self, version: int) -> str | None:
        """Return the status of a model version."""
        return {one["model_version"]: one["status"] for one in self.status().get("models", [])}.get(version)

    def containers(self) -> list[dict[str, Any]]:
        """Return the containers as ``docker compose ps`` describes them."""
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    def services(self) -> set[str]:
        """Return the names of the services that have a container."""
        return {one["Service"] for one in self.containers()}

    def inspect(self, *containers: str) -> list[dict[str, Any]]:
        """Return all that the engine says of containers."""
        done = subprocess.run(
            [self._docker, "inspect", *containers], check=True, capture_output=True, text=True
        )
        return list(json.loads(done.stdout))

    def is_healthy(self, *services: str) -> bool:
        """Return whether the services (all, unless named) run and are well."""
        found = [one for one in self.containers() if not services or one["Service"] in services]
        return bool(found) and all(one["Health"] == "healthy" for one in found)


@pytest.fixture(scope="session")
def compose() -> Compose:
    """docker compose, for the engine of DOCKER_HOST."""
    if not os.environ.get("DOCKER_HOST"):
        pytest.skip("DOCKER_HOST names no Docker engine")
    if (docker := shutil.which("docker")) is None:
        pytest.skip("docker is not on the PATH")
    for needed in (["info"], ["compose", "version"]):
        done = subprocess.run([docker, *needed], capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            pytest.skip(f"docker {' '.join(needed)} fails: {done.stderr.strip()}")
    return Compose(docker)
