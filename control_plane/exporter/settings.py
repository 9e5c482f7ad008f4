"""What can be set about the exporter."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ExporterSettings(BaseSettings):
    """Where it listens when it runs alone, and how much it remembers; durations in seconds."""

    model_config = SettingsConfigDict(env_prefix="exporter_")

    host: str = Field(
        "127.0.0.1", min_length=1, description="the address that `pipelines exporter` listens on"
    )
    port: int = Field(9464, ge=0, le=65_535, description="of `pipelines exporter`; 0 takes one that is free")
    versions: int = Field(
        5, ge=1, description="how many model versions have series: those that answered or were measured last"
    )
    window_age: float = Field(
        3600,
        gt=0,
        description="how long after its end a window of errors counts as live; must exceed the windows",
    )
    every: float = Field(
        5, gt=0, description="how often offsets are looked up, and MLflow is asked for versions"
    )
