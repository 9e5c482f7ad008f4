"""The tables of ``docs/events.md``: what each topic and each control event holds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from control_plane import events
from docs.generate import asyncapi
from docs.generate.markdown import table

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORDS = {
    "listings": ("Request", "Price"),
    "predictions": ("Answer",),
    "outcomes": ("Outcome",),
    "metrics": ("ErrorWindow", "DriftWindow", "EstimateWindow"),
    "control.servers": ("ServerAnnouncement",),
}


def tables() -> str:
    """Return the tables as Markdown."""
    return "\n\n".join((*_data_topics(), *_control_events()))


def _data_topics() -> Iterator[str]:
    schemas = asyncapi.schemas()
    for topic, names in _RECORDS.items():
        for name in names:
            yield f"### `{topic}`: {name}"
            yield _sentence(schemas[name].get("description", ""))
            yield _fields(schemas[name])


def _control_events() -> Iterator[str]:
    yield "### Control events"
    rows = [
        (f"`{name}`", f"`{event.topic}`", asyncapi.first_line(event), _data(event))
        for name, event in events.EVENT_TYPES.items()
    ]
    yield table(("type", "topic", "what happened", "data"), rows)


def _data(event: type[events.Event]) -> str:
    return ", ".join(f"`{name}`" for name in event.model_fields)


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (f"`{name}`", said(field), "always" if name in required else "may be missing")
        for name, field in schema["properties"].items()
    ]
    return table(("field", "value", "there"), rows)


def said(field: dict[str, Any]) -> str:
    """Return in a few words what a JSON schema allows."""
    match field:
        case {"anyOf": choices}:
            text = " or ".join(map(said, choices))
        case {"enum": values}:
            text = " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            text = f"list ({said(items)})"
        case {"type": "object", "additionalProperties": values}:
            text = f"object ({said(values)})"
        case {"format": "date-time"}:
            text = "time"
        case _:
            text = {"string": "text"}.get(field["type"], field["type"])
    return text


def _sentence(text: str) -> str:
    return " ".join(text.split())
