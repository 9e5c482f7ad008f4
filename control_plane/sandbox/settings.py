"""The sandbox's settings."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SandboxSettings(BaseSettings):
    """Which ports the servers take, where the free ones that are chosen otherwise will not do."""

    model_config = SettingsConfigDict(env_prefix="sandbox_")

    kafka_port: int | None = Field(None, ge=1, le=65535)
    hdfs_port: int | None = Field(None, ge=1, le=65535, description="of WebHDFS")
    mlflow_port: int | None = Field(None, ge=1, le=65535)
    start_timeout_s: float = Field(120, gt=0, description="within which each server must answer")

    def demanded_ports(self) -> dict[str, int]:
        """Return the ports that were set, by server."""
        ports = {"kafka": self.kafka_port, "hdfs": self.hdfs_port, "mlflow": self.mlflow_port}
        return {name: port for name, port in ports.items() if port is not None}
