"""Settings, all from the environment, with defaults that run on one machine.

One class a concern. A wrong value stops the program at start, naming the variable and what it expects.
The Spark apps' own settings live beside each app.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """A setting that cannot be used; the message names the variable, the value and what it expects."""


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **overrides: Any) -> S:
    """Read ``settings`` from the environment, or raise :class:`SettingsError` in one readable sentence."""
    try:
        return settings(**overrides)
    except ValidationError as error:
        prefix = str(settings.model_config.get("env_prefix") or "")
        problems = (
            f"{(prefix + str(problem['loc'][0])).upper()}={problem['input']!r}: {problem['msg']}"
            for problem in error.errors()
        )
        raise SettingsError("; ".join(problems)) from None


def _web_address(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError("expects an address like http://host:port")
    return url.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]


class Servers(BaseSettings):
    """Where Kafka, MLflow and HDFS (by WebHDFS) answer."""

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1)
    mlflow_tracking_uri: WebAddress = "http://127.0.0.1:5000"
    hdfs_url: WebAddress = "http://127.0.0.1:9870"

    @property
    def hdfs_root(self) -> str:
        """The root of HDFS as Spark names it, without a trailing slash: ``webhdfs://host:port``."""
        address = urlsplit(self.hdfs_url)
        scheme = "swebhdfs" if address.scheme == "https" else "webhdfs"
        return f"{scheme}://{address.netloc}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that name these servers to another process."""
        return {name.upper(): str(value) for name, value in self.model_dump().items()}


class Topics(BaseSettings):
    """How topics are made where they are missing."""

    model_config = SettingsConfigDict(env_prefix="topics_")

    partitions: int = Field(2, ge=1, description="of listings, predictions and outcomes")
    replication: int = Field(1, ge=1)
    min_insync_replicas: int = Field(1, ge=1)
    retention_days: float = Field(7, gt=0, description="of the data topics; the control topics stay forever")


class Home(BaseSettings):
    """Where an embedded system keeps its state: one folder, which may be deleted when nothing runs."""

    pipelines_home: Path = Path(".pipelines")


class ControlPlane(BaseSettings):
    """What the control plane may do, and how long it waits."""

    model_config = SettingsConfigDict(env_prefix="control_")

    launcher: str = Field("local", pattern="^(local|kubernetes)$")
    training_command: list[str] = Field(
        [
            sys.executable,
            "-m",
            "spark_apps.training",
            "--batch={batch}",
            "--attempt={attempt}",
            "--accept-profile={accept_profile}",
        ],
        min_length=1,
        description="what a local training job runs, as a JSON list; {batch}, {attempt} and {accept_profile} "
        "(true or false) are filled in",
    )
    training_attempts: int = Field(3, ge=1, description="tries of a training before its batch is given up")
    training_deadline_s: float = Field(3600, gt=0)
    rollout_deadline_s: float = Field(300, gt=0)
    heartbeat: Path | None = Field(
        None,
        description="a file touched every second for a liveness probe; under PIPELINES_HOME unless given",
    )
    session_timeout_s: float = Field(
        6,
        gt=0,
        description="how long the broker waits for a silent control plane; brokers refuse less than 6",
    )
    web: bool = Field(False, description="faust's own web server with its statistics, on port 6066")


class Quality(BaseSettings):
    """When the model that serves counts as degraded; durations in seconds."""

    model_config = SettingsConfigDict(env_prefix="degraded_")

    windows: int = Field(3, ge=1, description="windows in a row that must be beyond a bound")
    rmse: float = Field(1.5, gt=0, description="live RMSE, times that on held-out cars")
    outcomes: int = Field(30, ge=1, description="prices without which a window of errors says nothing")
    psi: float = Field(0.25, gt=0, description="population stability index of one that has drifted")
    inputs: int = Field(4, ge=1, description="inputs that must have drifted at once")
    cool_down: float = Field(3600, ge=0, description="until the same is told again of the same version")
    lookback: float = Field(
        7200, gt=0, description="how old a window may be that is looked at; must exceed WINDOWS of them"
    )


class OnDegraded(BaseSettings):
    """What the control plane does when the model that serves has degraded."""

    on_degraded: Literal["report", "rollback"] = Field(
        "report", description="rollback: ask for the version before, unless that was rolled back from"
    )


class Watching(BaseSettings):
    """What the periodic checks tell of themselves."""

    model_config = SettingsConfigDict(env_prefix="watch_")

    heartbeat: Path | None = Field(None, description="a file touched after each round of checks, for a probe")


class Kubernetes(BaseSettings):
    """Where and how the control plane runs what it launches, if that is in Kubernetes."""

    model_config = SettingsConfigDict(env_prefix="k8s_")

    namespace: str = "pipelines"
    training_template: str = Field("training", description="the suspended CronJob that trainings are made of")
    serving_deployment: str = "serving"
    serving_container: str = "serving"
