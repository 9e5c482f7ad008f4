"""Whether the server that leads gets on with its work: what its liveness means. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable  # noqa: TC003 - a dataclass's field
from dataclasses import dataclass

STUCK_S = 30.0


@dataclass
class Progress:
    """Told how far it has got, says whether that is well.

    It is not when requests have waited for :data:`STUCK_S` without one being answered, although new ones
    came all the while. Without new ones Kafka may be away, which a restart would not mend.
    """

    clock: Callable[[], float] = time.monotonic
    listed: int = -1
    answered: int = -1
    _answered_at: float = 0.0
    _arrivals: int = 0

    def is_made(self, listed: int, answered: int, *, waiting: bool) -> bool:
        """Take the offsets read of requests, and those below which all are answered (each summed up)."""
        if answered != self.answered or not waiting:
            self.answered, self._answered_at, self._arrivals = answered, self.clock(), 0
        if listed != self.listed:
            self.listed, self._arrivals = listed, self._arrivals + 1
        stuck = self.clock() - self._answered_at > STUCK_S
        return not (stuck and self._arrivals > 1)
