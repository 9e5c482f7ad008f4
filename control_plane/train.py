"""Asking for batches to be trained on anew: those that failed, were refused, or were trained on before."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

from control_plane import audit, events
from control_plane.decisions import Status, Trainings, on_batch_event

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "/cli"

_NAMED = 10  # batches in a message


class TrainingRequestError(RuntimeError):
    """The training that was asked for cannot be; the message says why, and what can."""


def request(
    bootstrap_servers: str, *batches: str, accept_profile: bool
) -> tuple[events.TrainingRequested, ...]:
    """Publish ``training.requested`` for each batch, in this order, or raise :class:`TrainingRequestError`.

    Either all are asked for or none is. They are trained on one after the other, behind those that wait.
    """
    records = audit.read(bootstrap_servers, events.BATCHES)
    batches = tuple(dict.fromkeys(batches))
    for batch in batches:
        check(records, batch)
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as the event's id tells it
    requested = tuple(
        events.TrainingRequested(batch=batch, requested_at=now, accept_profile=accept_profile)
        for batch in batches
    )
    audit.publish(bootstrap_servers, *requested, source=SOURCE)
    return requested


def check(records: Sequence[events.Recorded], batch: str) -> None:
    """Raise :class:`TrainingRequestError` unless the batch was trained on, or failed."""
    state = reduce(lambda state, record: on_batch_event(state, record)[0], records, Trainings())
    if batch not in state.batches:
        named = ", ".join(list(state.batches)[-_NAMED:]) or "none yet"
        raise TrainingRequestError(f"batch {batch} never arrived; the last that did: {named}")
    found = state.batches[batch]
    if found.status is Status.WAITING:
        raise TrainingRequestError(f"batch {batch} waits for its training already")
    if found.status is Status.TRAINING:
        raise TrainingRequestError(
            f"batch {batch} is being trained on (attempt {found.attempt}); ask again when that has ended"
        )
