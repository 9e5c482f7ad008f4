"""``pipelines replay``: what was typed as a choice, and what was sent as a sentence or JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import typer

from control_plane.progress import working
from control_plane.replaying import Chosen, replay


def chosen(
    partition: int | None, *, first: int | None, end: int | None, since: str | None, until: str | None
) -> Chosen:
    """Return what was chosen. Raises :class:`typer.BadParameter` for what is no choice."""
    if (first is not None and since) or (end is not None and until):
        raise typer.BadParameter("give an offset or a time, not both")
    if partition is None and (first is not None or end is not None):
        raise typer.BadParameter("offsets are of one partition: give --partition as well")
    if first is None and since is None:
        raise typer.BadParameter("say where to begin: --since TIME, or --partition and --first")
    return Chosen(
        partition,
        first=first if since is None else _moment("--since", since),
        end=end if until is None else _moment("--until", until),
    )


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text} is no time like 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def run(bootstrap_servers: str, which: Chosen, *, rate: float, as_json: bool) -> None:
    """Send the requests again, and print what was sent."""
    with working(f"sending {rate:,g} requests a second again"):
        sent = replay(bootstrap_servers, which, rate=rate, now=datetime.now(UTC))
    if as_json:
        sys.stdout.write(json.dumps(asdict(sent), indent=2) + "\n")
        return
    sys.stdout.write(f"{sent.replayed:,} requests sent again, as <id>{sent.suffix}\n")
    if sent.prices or sent.passed_over:
        sys.stdout.write(
            f"passed over: {sent.prices:,} prices, {sent.passed_over:,} records without a usable request id\n"
        )
