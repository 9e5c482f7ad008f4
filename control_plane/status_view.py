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


def run(bootstrap_servers: str, *, as_json: bool) -> None:
    """Print the status: JSON, a table on a terminal, plain lines in a pipe."""
    now = status(bootstrap_servers)
    if as_json:
        sys.stdout.write(json.dumps(now, indent=2) + "\n")
    elif sys.stdout.isatty():
        Console().print(table(now))
    else:
        sys.stdout.writelines(f"{'  '.join(row)}\n" for row in rows(now))


def table(now: Json) -> Table:
    """Return the status as a table."""
    shown = Table("what", "which", "status", "more", title="Status", title_justify="left")
    for row in rows(now):
        shown.add_row(*row)
    return shown


def rows(now: Json) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each server, model and batch: what it is, which, its status, and more."""
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
    for model in now["models"]:
        more = model.get("reason") or f"trained on {', '.join(model['batches']) or 'unknown batches'}"
        yield "model", str(model["model_version"]), model["status"], more
    for batch in now["batches"]:
        more = batch.get("reason") or (_model(batch) if "model_version" in batch else "")
        yield "batch", batch["batch"], batch["status"], more


def _place(server: dict[str, Any]) -> str:
    return str(server.get("pod") or f"pid {server['pid']}")


def _model(row: dict[str, Any]) -> str:
    return f"model {row['model_version']}" if row["model_version"] else "no model yet"
