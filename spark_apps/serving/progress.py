"""Whether the server that leads gets on with its work: what its liveness means. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable  # noqa: TC003 - a dataclass's field
from dataclasses import dataclass

STUCK_S = 30.0
RECENT_S = 5.0


@dataclass
class Progress:
    """Told how far it has got, says whether that is well.

    It is not when requests have waited for :data:`STUCK_S` without one being answered while new ones still
    come. When none come, Kafka may be away, which a restart would not mend.
    """

    clock: Callable[[], float] = time.monotonic
    listed: int = -1
    answered: int = -1
    _answered_at: float = 0.0
    _arrived_at: float = 0.0

    def is_made(self, listed: int, answered: int, *, waiting: bool) -> bool:
        """Take the offsets read of requests, and those below which all are answered (each summed up)."""
        if answered != self.answered or not waiting:
            self.answered, self._answered_at = answered, self.clock()
        if listed != self.listed:
            self.listed, self._arrived_at = listed, self.clock()
        stuck = self.clock() - self._answered_at > STUCK_S
        return not (stuck and self.clock() - self._arrived_at < RECENT_S)
