"""The sandbox's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SandboxSettings(BaseSettings):
    """Which ports the servers take, where the free ones that are chosen otherwise will not do."""

    model_config = SettingsConfigDict(env_prefix="sandbox_")

    kafka_port: int | None = Field(None, ge=1, le=65535, description="of the broker")
    hdfs_port: int | None = Field(None, ge=1, le=65535, description="of WebHDFS")
    mlflow_port: int | None = Field(None, ge=1, le=65535, description="of MLflow")
    start_timeout_s: float = Field(120, gt=0, description="within which each server must answer")

    def demanded_ports(self) -> dict[str, int]:
        """Return the ports that were set, by server."""
        ports = {"kafka": self.kafka_port, "hdfs": self.hdfs_port, "mlflow": self.mlflow_port}
        return {name: port for name, port in ports.items() if port is not None}


class MlflowStores(BaseSettings):
    """Where MLflow keeps what it is told, in MLflow's own variables; files of its own unless given."""

    model_config = SettingsConfigDict(env_prefix="mlflow_")

    backend_store_uri: str | None = Field(None, description="a database: postgresql://…")
    artifacts_destination: str | None = Field(None, description="a store of objects: s3://bucket/folder")


class ContainerSettings(BaseSettings):
    """How a server in a container of its own is found, and where its data is."""

    model_config = SettingsConfigDict(env_prefix="server_")

    home: Path = Field(Path("/var/lib/pipelines"), description="the volume with its data")
    host: str = Field(min_length=1, description="the name by which clients and the other servers reach it")
    namenode: str = Field("hdfs-namenode", description="the NameNode's name, to a DataNode")
    outside: str | None = Field(
        None,
        pattern=r"^.+:\d+$",
        description="host:port at which clients beyond the containers' network reach Kafka",
    )
    start_timeout_s: float = Field(120, gt=0, description="within which it must answer")
