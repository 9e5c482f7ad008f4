"""``docs/settings.md``: every setting of every program, from the classes that read them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticUndefined

from control_plane import settings as control_plane
from control_plane.exporter.settings import ExporterSettings
from control_plane.sandbox.settings import ContainerSettings, MlflowStores, SandboxSettings
from control_plane.web.settings import Web
from docs.generate.markdown import table
from spark_apps.executors import Executors
from spark_apps.monitoring.settings import Monitoring
from spark_apps.serving.settings import Pinned, Pod, Serving
from spark_apps.session import SparkSettings
from spark_apps.training.settings import GateSettings, TrainingSettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings


@dataclass(frozen=True)
class Application:
    """A program, or several, and the settings that it reads."""

    name: str
    what: str
    classes: tuple[type[BaseSettings], ...]


APPLICATIONS = (
    Application(
        "Every program",
        "Where the servers answer, where an embedded system keeps its state, and what is logged.",
        (control_plane.Servers, control_plane.Home, control_plane.Logging),
    ),
    Application(
        "Topics",
        "Read by whoever makes topics (`pipelines up`, `pipelines topics`, the control plane), and by "
        "serving, which refuses topics that are not as demanded.",
        (control_plane.Topics,),
    ),
    Application(
        "Control plane",
        "`pipelines control-plane` and `pipelines watch`.",
        (
            control_plane.ControlPlane,
            control_plane.OnDegraded,
            control_plane.Watching,
            control_plane.Quality,
            control_plane.Kubernetes,
        ),
    ),
    Application(
        "Training",
        "`python -m spark_apps.training`, which the control plane starts.",
        (TrainingSettings, GateSettings),
    ),
    Application("Serving", "`python -m spark_apps.serving` and its supervisor.", (Serving, Pinned, Pod)),
    Application("Monitoring", "`python -m spark_apps.monitoring`.", (Monitoring,)),
    Application(
        "Spark",
        "Every program with Spark; the executors only where SPARK_MASTER is Kubernetes.",
        (SparkSettings, Executors),
    ),
    Application("The page", "`pipelines web`.", (Web,)),
    Application("The exporter", "`pipelines exporter`, and the page's process.", (ExporterSettings,)),
    Application(
        "Servers of the sandbox",
        "`pipelines up` and the demo; in a container of its own `pipelines server`.",
        (SandboxSettings, ContainerSettings, MlflowStores),
    ),
)

_DIRECTLY = (
    ("`NO_COLOR`", "-", "anything", "no colours, in logs, tables and help"),
    ("`JAVA_HOME`", "-", "a path", "the Java to take, if it is usable; one is looked for unless given"),
    ("`KUBECONFIG`", "-", "a path", "the cluster of CONTROL_LAUNCHER=kubernetes, outside of a pod"),
    (
        "`TERMINATION_MESSAGE_PATH`",
        "-",
        "a path",
        "where a training leaves why it failed; Kubernetes' own convention, set by who starts it",
    ),
)

_HEAD = """\
# Settings

Everything is set in the environment, with defaults that run on one machine. A wrong value stops the program
at its start, with the variable's name and what it expects. Durations are in seconds unless said otherwise.

This page is made by `make docs` from the classes that read the settings; a test holds it to them.
"""
_HEADER = ("variable", "default", "expects", "meaning")


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for application in APPLICATIONS:
        parts.append(f"## {application.name}\n\n{application.what}\n")
        parts += [f"{_first_line(one)}\n\n{table(_HEADER, rows(one))}\n" for one in application.classes]
    parts.append(f"## Read as they are\n\n{table(_HEADER, _DIRECTLY)}\n")
    return "\n".join(parts)


def rows(settings: type[BaseSettings]) -> list[tuple[str, str, str, str]]:
    """Return a row for each setting of a class: variable, default, what it expects, meaning."""
    prefix = str(settings.model_config.get("env_prefix") or "")
    schema = settings.model_json_schema()["properties"]
    return [
        (
            f"`{(prefix + name).upper()}`",
            _default(field),
            expected(schema[name]),
            field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return "-"
    if field.default is PydanticUndefined:
        return "must be set"
    if isinstance(field.default, list):
        return f"`{json.dumps(['python' if item == sys.executable else item for item in field.default])}`"
    value = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if str(value) else "-"


def expected(schema: dict[str, Any]) -> str:
    """Return in a few words what a setting's JSON schema allows."""
    if "anyOf" in schema:
        return expected(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    bounds = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
    }
    limits = [text.format(f"{schema[key]:g}") for key, text in bounds.items() if key in schema]
    if "pattern" in schema:
        limits.append(f"like `{schema['pattern']}`")
    return ", ".join([_kind(schema), *limits])


def _kind(schema: dict[str, Any]) -> str:
    if schema.get("format") == "path":
        return "a path"
    kinds = {
        "string": "a text",
        "array": "a JSON list",
        "boolean": "true or false",
        "integer": "a whole number",
    }
    return kinds.get(schema.get("type", ""), "a number")


def _first_line(settings: type[BaseSettings]) -> str:
    return (settings.__doc__ or "").strip().splitlines()[0].replace("``", "`")
