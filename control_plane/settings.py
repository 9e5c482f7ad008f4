"""Settings, all from the environment, with defaults that run on one machine.

One class a concern. A wrong value stops the program at start, naming the variable and what it expects.
The Spark apps' own settings live beside each app.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails


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
            _said(
                f"{prefix}{problem['loc'][0]}".upper(),
                settings.model_fields.get(str(problem["loc"][0])),
                problem,
            )
            for problem in error.errors()
        )
        raise SettingsError("; ".join(problems)) from None


def _said(variable: str, field: FieldInfo | None, problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        meaning = f": {field.description}" if field and field.description else ""
        return f"{variable} must be set{meaning}"
    return f"{variable}={problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _web_address(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError("expects an address like http://host:port")
    return url.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]


class Servers(BaseSettings):
    """Where Kafka, MLflow and HDFS (by WebHDFS) answer."""

    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092", min_length=1, description="the brokers: host:port, several with commas"
    )
    mlflow_tracking_uri: WebAddress = Field("http://127.0.0.1:5000", description="the MLflow server")
    hdfs_url: WebAddress = Field("http://127.0.0.1:9870", description="WebHDFS, at the NameNode")

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
    replication: int = Field(1, ge=1, description="copies of each partition")
    min_insync_replicas: int = Field(
        1, ge=1, description="copies that must have a record before it counts as written"
    )
    retention_days: float = Field(7, gt=0, description="of the data topics; the control topics stay forever")


class Logging(BaseSettings):
    """What is logged, and how; on standard error."""

    model_config = SettingsConfigDict(env_prefix="log_", env_ignore_empty=True)

    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda level: str(level).upper()),
    ] = Field("INFO", description="the least that is said")
    format: Literal["json", "console"] | None = Field(
        None, description="for programs or for people; by whether it is a terminal unless given"
    )


class Home(BaseSettings):
    """Where an embedded system keeps its state: one folder, which may be deleted when nothing runs."""

    pipelines_home: Path = Field(
        Path(".pipelines"), description="servers, logs and data of an embedded system; each has its own"
    )


class ControlPlane(BaseSettings):
    """What the control plane may do, and how long it waits."""

    model_config = SettingsConfigDict(env_prefix="control_")

    launcher: Literal["local", "kubernetes"] = Field(
        "local", description="what runs trainings and servers: processes of this machine, or Kubernetes"
    )
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
    training_deadline_s: float = Field(3600, gt=0, description="after which an attempt is ended")
    rollout_deadline_s: float = Field(
        300, gt=0, description="within which a server of the new version must answer"
    )
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

    namespace: str = Field("pipelines", description="where all of it is")
    training_template: str = Field("training", description="the suspended CronJob that trainings are made of")
    serving_deployment: str = Field("serving", description="the Deployment that rollouts change")
    serving_container: str = Field("serving", description="the container in it that gets MODEL_VERSION")
