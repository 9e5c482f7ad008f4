"""Where the page is: the port that is asked for, that of the last time, or any free one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from control_plane.sandbox.machine import HOST, choose_ports

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane.web.settings import Web

_NAME = "web"
_ANY = {"0.0.0.0", "::"}  # noqa: S104 - what a setting may say


def remembered(home: Path) -> Path:
    """Return the file that holds the port of the last start."""
    return home / "web.json"


def choose_port(settings: Web, home: Path) -> int:
    """Return the port to listen at, and remember it.

    Raises :class:`control_plane.sandbox.errors.SandboxError` when the one that was asked for is taken.
    """
    home.mkdir(parents=True, exist_ok=True)
    demanded = {} if settings.port is None else {_NAME: settings.port}
    return choose_ports((_NAME,), remembered(home), demanded, variables="{}_PORT")[_NAME]


def page(settings: Web, home: Path) -> str | None:
    """Return where the page of the system in ``home`` is, or None before it has chosen."""
    host = HOST if settings.host in _ANY else settings.host
    try:
        return f"http://{host}:{json.loads(remembered(home).read_text())[_NAME]}"
    except (OSError, ValueError, KeyError):
        return None
