"""When another server began to answer: from the epochs of the answers and the rollouts of the log. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from control_plane import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from control_plane.records import Answer

MOST = 200
_TOGETHER_S = 60.0


@dataclass(frozen=True)
class Handover:
    """From ``at`` on (Unix time) ``model_version`` answered; ``epoch`` is null where only the log says so."""

    at: float
    model_version: int
    epoch: int | None
    replaces: int | None

    def shown(self) -> dict[str, Any]:
        """Return it as the page shows it."""
        return {
            "at": self.at,
            "model_version": self.model_version,
            "epoch": self.epoch,
            "replaces": self.replaces,
        }


class Epochs:
    """The leaders' epochs as answers show them; each begins with the first answer that carries it."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None  # epoch and version
        self.handovers: deque[Handover] = deque(maxlen=MOST)

    def take(self, answer: Answer, answered_ms: int) -> bool:
        """Take an answer; True when it is the first of its epoch. What was before that is unknown."""
        if self._last is not None and answer.epoch <= self._last[0]:
            return False
        if self._last is not None:
            self.handovers.append(
                Handover(answered_ms / 1000, answer.model_version, answer.epoch, self._last[1])
            )
        self._last = answer.epoch, answer.model_version
        return True


def told(log: Iterable[events.Recorded], seen: Iterable[Handover]) -> list[Handover]:
    """Return all hand-overs in order: those seen in answers, and the log's rollouts that were not.

    The log says when a rollout was known to have succeeded, the answers when the new version began.
    """
    seen = list(seen)
    rollouts = [one for one in _rollouts(log) if not any(_same(one, handover) for handover in seen)]
    return sorted([*rollouts, *seen], key=lambda handover: handover.at)[-MOST:]


def _rollouts(log: Iterable[events.Recorded]) -> Iterator[Handover]:
    replaces: dict[int, int | None] = {}
    for record in log:
        match record.event:
            case events.RolloutStarted(rollout=number, replaces=before):
                replaces[number] = before
            case events.RolloutSucceeded(rollout=number, version=version):
                yield Handover(record.time.timestamp(), version, None, replaces.get(number))


def _same(rollout: Handover, seen: Handover) -> bool:
    return (
        rollout.model_version == seen.model_version
        and seen.model_version != seen.replaces
        and abs(rollout.at - seen.at) < _TOGETHER_S
    )
