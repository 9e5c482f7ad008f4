"""Asking for an earlier version of the model back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

from control_plane import audit, events
from control_plane.decisions import Rollouts, on_model_event

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "/cli"


class RollbackError(RuntimeError):
    """The rollback that was asked for cannot be; the message says why, and what can."""


def request(bootstrap_servers: str, version: int | None) -> events.RollbackRequested:
    """Publish ``rollback.requested`` for the version, or for the one that served before this one."""
    records = audit.read(bootstrap_servers, events.MODELS)
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as the event's id tells it
    requested = events.RollbackRequested(version=chosen(records, version), requested_at=now)
    audit.publish(bootstrap_servers, requested, source=SOURCE)
    return requested


def chosen(records: Sequence[events.Recorded], version: int | None) -> int:
    """Return the version to go back to, or raise :class:`RollbackError`."""
    if version is None:
        return before(records)
    known = {record.event.version for record in records if isinstance(record.event, events.ModelRegistered)}
    if version not in known:
        listed = ", ".join(map(str, sorted(known))) or "none yet"
        raise RollbackError(f"model version {version} was never registered; there are: {listed}")
    return version


def before(records: Sequence[events.Recorded]) -> int:
    """Return the version that served before the one that serves now."""
    state = reduce(lambda state, record: on_model_event(state, record)[0], records, Rollouts())
    replaced = [
        record.event.replaces
        for record in records
        if isinstance(record.event, events.RolloutStarted) and record.event.version == state.serving
    ]
    if state.serving is None or not replaced or replaced[-1] is None:
        serves = "no version serves yet" if state.serving is None else f"version {state.serving} is the first"
        raise RollbackError(
            f"there is no version to go back to: {serves}; name one: pipelines rollback VERSION"
        )
    return replaced[-1]
