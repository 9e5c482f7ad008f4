"""A clock that tests turn by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Stands still at ``now`` (seconds) unless that is changed."""

    now: float = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
