"""The life story of every batch and model, as ``pipelines audit`` shows it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from control_plane import audit, events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_COLUMNS = ("subject", "time (UTC)", "event", "seconds", "what")


def without_repeats(records: Iterable[events.Recorded]) -> Iterator[events.Recorded]:
    """Yield each event once: the log may hold one twice, and its id says that it is the same."""
    seen: set[str] = set()
    for record in records:
        if record.id not in seen:
            seen.add(record.id)
            yield record


def by_subject(records: Iterable[events.Recorded]) -> dict[str, list[events.Recorded]]:
    """Return the events of each batch and each model, in the order in which the stories began."""
    stories: dict[str, list[events.Recorded]] = {}
    for record in without_repeats(records):
        stories.setdefault(subject(record), []).append(record)
    return stories


def subject(record: events.Recorded) -> str:
    """Return what the event is about: a version alone would look like any number."""
    return record.event.subject if record.event.topic == events.BATCHES else f"model {record.event.subject}"


def what(event: events.Event) -> str:
    """Return in a few words what the event says beyond its type."""
    said = {
        events.BatchArrived: "{files} files, {bytes:,} bytes",
        events.TrainingRequested: "anew{accepting}",
        events.TrainingStarted: "attempt {attempt}{accepting}",
        events.TrainingSucceeded: "attempt {attempt}, model {version}, run {run_id}",
        events.TrainingFailed: "attempt {attempt}{last}: {reason}",
        events.ModelRegistered: "run {run_id}, trained on {trained_on}",
        events.RolloutStarted: "rollout {rollout}, {instead}",
        events.RolloutSucceeded: "rollout {rollout}",
        events.RolloutFailed: "rollout {rollout}: {reason}",
        events.ModelDegraded: "{degraded} in {windows} windows in a row",
    }
    return said.get(type(event), "").format(**_fields(event))


def _fields(event: events.Event) -> dict[str, Any]:
    fields = event.model_dump()
    if isinstance(event, events.ModelDegraded):
        fields["degraded"] = _degraded(event)
    return fields | {
        "last": ", the last" if fields.get("final") else "",
        "accepting": ", whatever its profile" if fields.get("accept_profile") else "",
        "trained_on": ", ".join(fields.get("batches", [])) or "unknown batches",
        "instead": f"in place of model {fields['replaces']}" if fields.get("replaces") else "the first",
    }


def _degraded(event: events.ModelDegraded) -> str:
    match event.what:
        case "rmse":
            return f"live RMSE ${event.value:,.0f}, bound ${event.bound:,.0f},"
        case "inputs":
            return f"{event.value:.0f} inputs have drifted ({', '.join(event.features)})"
        case what:
            return f"drift of the {what} {event.value:.2f}, bound {event.bound:.2f},"


def line(record: events.Recorded) -> str:
    """Return the event as one line of columns parted by two spaces."""
    return "  ".join(part for part in (events.iso(record.time), subject(record), *_event(record)) if part)


def json_line(record: events.Recorded) -> str:
    """Return the event as one line of JSON with the CloudEvent's fields."""
    envelope: dict[str, Any] = {
        "id": record.id,
        "type": record.event.type,
        "source": record.source,
        "subject": record.event.subject,
        "time": events.iso(record.time),
        "data": record.event.model_dump(mode="json"),
    }
    return json.dumps(envelope, ensure_ascii=False)


def table(stories: dict[str, list[events.Recorded]]) -> Table:
    """Return the stories as a table for a terminal, a section each."""
    shown = Table(*_COLUMNS, title="What happened to every batch and model", title_justify="left")
    shown.columns[3].justify = "right"
    for name, story in stories.items():
        for number, record in enumerate(story):
            style = "red" if record.event.type.endswith(".failed") else None
            when = events.iso(record.time)
            shown.add_row(name if number == 0 else "", when, *_event(record), style=style)
        shown.add_section()
    return shown


def _event(record: events.Recorded) -> tuple[str, str, str]:
    seconds = getattr(record.event, "seconds", None)
    return record.event.type, "" if seconds is None else f"{seconds:.1f}", what(record.event)


def run(bootstrap_servers: str, *, follow: bool, as_json: bool) -> None:
    """Print the stories: a table on a terminal, otherwise a line an event; ``follow`` goes on for ever."""
    log = audit.read(bootstrap_servers, events.BATCHES) + audit.read(bootstrap_servers, events.MODELS)
    if sys.stdout.isatty() and not (follow or as_json):
        Console().print(table(by_subject(log)))
        return
    records: Iterable[events.Recorded] = (record for story in by_subject(log).values() for record in story)
    if follow:
        topics = [events.BATCHES, events.MODELS]
        records = without_repeats(audit.follow(bootstrap_servers, topics, stopped=lambda: False))
    show = json_line if as_json else line
    for record in records:
        sys.stdout.write(show(record) + "\n")
        sys.stdout.flush()
