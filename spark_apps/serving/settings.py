"""Settings of the serving app, from the environment."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _memory_folder() -> Path:
    """Return the folder that is memory: Spark's checkpoint is scratch here, and a disk would cost latency."""
    shared_memory = Path("/dev/shm")  # noqa: S108 - the folders below it carry a process's own name
    return shared_memory if shared_memory.is_dir() else Path(tempfile.gettempdir())


class Pinned(BaseSettings):
    """The model version that a server must serve; without one it takes the newest that is registered."""

    model_version: int | None = Field(None, ge=1, description="the newest registered one unless given")


class Pod(BaseSettings):
    """The pod that this server is, where it is one."""

    pod_name: str | None = Field(None, description="by which it holds the Lease, and is told of")
    pod_namespace: str = Field("default", description="where the Lease is")


class Serving(BaseSettings):
    """How requests are answered."""

    model_config = SettingsConfigDict(env_prefix="serving_")

    model: str = Field("used-car-price", min_length=1, description="the registered model's name")
    server: str | None = Field(None, description="the name to announce; host and process id unless given")
    standbys: int = Field(1, ge=0, description="warm servers that the supervisor keeps beside the active one")
    max_request_bytes: int = Field(65_536, ge=1_000, le=524_288, description="longer records are rejected")
    memory: str = Field("512m", pattern=r"^\d+[mg]$", description="heap of one server's JVM")
    batch: str = Field("6 hours", description="length of a real-time batch; its end costs one late answer")
    fetch_wait_ms: int = Field(50, ge=1, le=1000, description="how long the broker may hold an empty fetch")
    warmup_bursts: int = Field(4, ge=1, description="bursts of warm-up requests, at most")
    marker_every_s: float = Field(
        1, gt=0, description="how often the active server commits how far it has got"
    )
    leadership: Literal["file", "lease"] = Field("file", description="a lease is one of Kubernetes")
    await_rollout: bool = Field(
        False, description="without MODEL_VERSION: wait to be replaced by a server that has it"
    )
    heartbeat: Path | None = Field(
        None,
        description="a file for probes, touched every second from when the server is ready, "
        "or waits for the first version",
    )
    hung_after_s: float = Field(
        30, ge=3, description="without a sign of life of a ready server: the supervisor replaces it then"
    )
    scratch: Path = Field(default_factory=_memory_folder, description="checkpoints, temporary files, model")
