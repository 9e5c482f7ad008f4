"""What can be set about the monitoring application; all durations in seconds."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from control_plane.settings import Home, load

DAY_S = 24 * 3600.0


class Monitoring(BaseSettings):
    """How long things are waited for, how large the windows are, and what the application may use."""

    model_config = SettingsConfigDict(env_prefix="monitoring_")

    price_horizon: float = Field(DAY_S, gt=0, description="how long after its answer a price may come")
    price_lead: float = Field(3600, ge=0, description="how long before its answer a price may have come")
    window: float = Field(60, ge=0.001, description="length of the windows of errors")
    slide: float = Field(
        0, ge=0, description="how long after one window the next one begins; 0: when it ends, so none overlap"
    )
    delay: float = Field(5, gt=0, description="how long after its end a window waits for outcomes")
    replay: float = Field(
        600, gt=0, description="how long an outcome is recognised that a killed batch had written already"
    )
    trigger: float = Field(5, gt=0, description="how often new records are looked for")
    batch_records: int = Field(
        50_000, ge=1, description="answers that one batch joins at most; of listings it reads twice as many"
    )
    drift_window: float = Field(300, ge=1, description="length of the windows of drift and estimated errors")
    drift_at_least: int = Field(200, ge=1, description="values without which a window has no drift")
    drift_records: int = Field(
        20_000,
        ge=100,
        description="records of a topic that a window of drift looks at, at most",
    )
    drift_catch_up: int = Field(12, ge=1, description="windows of drift made up for after a pause, at most")
    checkpoint: str = Field("", description="a folder or Hadoop URL; under PIPELINES_HOME unless given")
    heartbeat: Path | None = Field(None, description="a file touched every second for a liveness probe")
    cores: int = Field(2, ge=1, description="threads of Spark")
    memory: str = Field("512m", pattern=r"^\d+[mg]$", description="heap of the JVM")
    java_options: str = Field(
        "-XX:ReservedCodeCacheSize=128m "
        "-XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=6000 "
        "-XX:Tier4CompileThreshold=40000 -XX:Tier4BackEdgeThreshold=400000",
        description="unless given, the second compiler comes late: a start would pay for it, "
        "and a backlog is worked off twice as fast with it",
    )
    state_partitions: int = Field(2, ge=1, description="fixed by the first start on a checkpoint")
    state_memory_mb: int = Field(
        256,
        ge=8,
        description="native memory of all state stores together, at most; what does not fit is read anew",
    )

    @field_validator("replay")
    @classmethod
    def _outlasts_the_delay(cls, replay: float, fields: ValidationInfo) -> float:
        if replay < fields.data.get("delay", 0):
            raise ValueError("expects at least MONITORING_DELAY")
        return replay

    @field_validator("slide")
    @classmethod
    def _divides_the_window(cls, slide: float, fields: ValidationInfo) -> float:
        window = fields.data.get("window", 0)
        if slide and (slide > window or round(window * 1000) % max(1, round(slide * 1000))):
            raise ValueError("expects a whole part of MONITORING_WINDOW")
        return slide

    @property
    def step(self) -> float:
        """How long after one window the next one begins, seconds: one ends as often."""
        return self.slide or self.window

    @property
    def checkpoint_root(self) -> str:
        """Where the checkpoints lie, without a trailing slash."""
        chosen = self.checkpoint or str(load(Home).pipelines_home.absolute() / "monitoring")
        return chosen.rstrip("/")
