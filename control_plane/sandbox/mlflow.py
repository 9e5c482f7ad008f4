"""An MLflow tracking server and model registry, on SQLite unless told otherwise. It passes artifacts on."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

import requests

from control_plane.sandbox.machine import Host
from control_plane.sandbox.processes import ManagedProcess
from control_plane.sandbox.settings import MlflowStores
from control_plane.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from control_plane.sandbox.layout import Layout


class MlflowServer:
    """One worker of the server.

    uvicorn is started directly, with the environment that ``mlflow server`` gives it: the command would
    stay beside it as a second process of 200 MB and a killed one would leave its server behind.
    """

    name = "mlflow"
    ports = ("mlflow",)

    def __init__(
        self, layout: Layout, ports: Mapping[str, int], java: Path, host: Host | None = None
    ) -> None:
        host = host or Host()
        self.url = f"http://{host.name}:{ports['mlflow']}"
        folder = layout.data("mlflow")
        options = (
            "--host",
            host.listens,
            "--port",
            str(ports["mlflow"]),
            "--log-level",
            "warning",
            "--no-access-log",
        )
        self.server = ManagedProcess(
            "mlflow",
            [sys.executable, "-m", "uvicorn", *options, "mlflow.server.fastapi_app:app"],
            log_file=layout.log_file("mlflow"),
            env=layout.environment(java) | _settings(folder, load(MlflowStores)),
            cwd=folder,
        )

    @property
    def processes(self) -> list[ManagedProcess]:
        """What runs now, or may."""
        return [self.server]

    def prepare(self) -> None:
        """Start it: it needs no preparation, and is the slowest of the servers."""
        self.server.start()

    def start(self, timeout_s: float) -> None:
        """Do nothing; it was started first."""

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until a question to its database is answered; the first one makes the tables."""
        self.server.wait_until_ready(self._answers, timeout_s)

    def _answers(self) -> bool:
        question = f"{self.url}/api/2.0/mlflow/experiments/search"
        try:
            return requests.post(question, json={"max_results": 1}, timeout=60).ok
        except requests.RequestException:
            return False


def _settings(folder: Path, stores: MlflowStores) -> dict[str, str]:
    files = (folder / "artifacts").as_uri()
    database = stores.backend_store_uri or f"sqlite:///{folder}/mlflow.db"
    (folder / "artifacts").mkdir(exist_ok=True)
    return {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": stores.artifacts_destination or files,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # six processes of 240 MB that nothing here uses
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
