"""The status as ``pipelines status`` shows it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from control_plane.status import status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from control_plane.status import Json


_NEWEST = 10  # models and batches: what a screen has room for


def run(bootstrap_servers: str, *, as_json: bool) -> None:
    """Print the status: JSON, a table on a terminal, plain lines in a pipe."""
    now = status(bootstrap_servers)
    if as_json:
        sys.stdout.write(json.dumps(now, indent=2) + "\n")
        return
    sys.stdout.write(f"{verdict(now)}\n")
    if sys.stdout.isatty():
        Console().print(table(now))
    else:
        sys.stdout.writelines(f"{'  '.join(row)}\n" for row in rows(now))


def verdict(now: Json) -> str:
    """Return in one line whether all is well."""
    if now["complaints"]:
        return f"not all is well: {'; '.join(now['complaints'])}"
    active, standbys = now["serving"]["active"], len(now["serving"]["standby"])
    return f"all is well: {_model(active)} answers, {standbys} {'stands' if standbys == 1 else 'stand'} by"


def table(now: Json) -> Table:
    """Return the status as a table."""
    shown = Table("what", "which", "status", "more", title="Status", title_justify="left")
    for row in rows(now):
        shown.add_row(*row)
    return shown


def rows(now: Json) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each server, and the newest models and batches: what, which, its status, and more."""
    serving = now["serving"]
    active = [serving["active"]] if serving["active"] else []
    for role, servers in (
        ("active", active),
        ("standby", serving["standby"]),
        ("starting", serving["starting"]),
        ("shadow", serving["shadow"]),
    ):
        for server in servers:
            yield "server", _place(server), role, _model(server)
    yield from _earlier("model", now["models"])
    for model in now["models"][-_NEWEST:]:
        more = model.get("reason") or f"trained on {', '.join(model['batches']) or 'unknown batches'}"
        yield "model", str(model["model_version"]), model["status"], more
    yield from _earlier("batch", now["batches"])
    for batch in now["batches"][-_NEWEST:]:
        more = batch.get("reason") or (_model(batch) if "model_version" in batch else "")
        yield "batch", batch["batch"], batch["status"], more


def _earlier(what: str, all_of_them: list[Json]) -> Iterator[tuple[str, str, str, str]]:
    if (earlier := len(all_of_them) - _NEWEST) > 0:
        yield what, f"{earlier} earlier", "", "--json has all"


def _place(server: dict[str, Any]) -> str:
    return str(server.get("pod") or f"pid {server['pid']}")


def _model(row: dict[str, Any]) -> str:
    return f"model {row['model_version']}" if row["model_version"] else "no model yet"
