"""Asking for a shadow: a version that answers every request too, to a topic of its own, and serves nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

from control_plane import audit, events

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "/cli"


class ShadowError(RuntimeError):
    """The shadow that was asked for cannot be; the message says why, and what can."""


@dataclass(frozen=True)
class Shadow:
    """The version that shall answer in the shadow, and from which moment's requests on."""

    version: int
    since: datetime


def after(shadow: Shadow | None, event: events.Event) -> Shadow | None:
    """Return the shadow that is wanted once ``event`` of ``control.models`` has happened. Pure."""
    if isinstance(event, events.ShadowRequested):
        return Shadow(event.version, event.requested_at)
    if isinstance(event, events.ShadowStopped):
        return None
    return shadow


def wanted(records: Sequence[events.Recorded]) -> Shadow | None:
    """Return the shadow that is wanted after all ``records`` of ``control.models``."""
    return reduce(lambda shadow, record: after(shadow, record.event), records, None)


def start(bootstrap_servers: str, version: int) -> events.ShadowRequested:
    """Publish ``shadow.requested`` for the version; one that was asked for before makes room."""
    records = audit.read(bootstrap_servers, events.MODELS)
    known = {record.event.version for record in records if isinstance(record.event, events.ModelRegistered)}
    if version not in known:
        listed = ", ".join(map(str, sorted(known))) or "none yet"
        raise ShadowError(f"model version {version} was never registered; there are: {listed}")
    requested = events.ShadowRequested(version=version, requested_at=_now())
    audit.publish(bootstrap_servers, requested, source=SOURCE)
    return requested


def stop(bootstrap_servers: str) -> events.ShadowStopped:
    """Publish ``shadow.stopped``; what was answered stays in its topic."""
    shadow = wanted(audit.read(bootstrap_servers, events.MODELS))
    if shadow is None:
        raise ShadowError("there is no shadow")
    stopped = events.ShadowStopped(version=shadow.version, requested_at=_now())
    audit.publish(bootstrap_servers, stopped, source=SOURCE)
    return stopped


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as the event's id tells it
