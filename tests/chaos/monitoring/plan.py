"""What happens in a run: the same seed gives the same kills. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

BOTH, PYTHON, JVM, ASKED = "both: SIGKILL", "Python: SIGKILL", "JVM: SIGKILL", "Python: SIGTERM"
#: A run begins with each in turn.
FAULTS = (BOTH, PYTHON, BOTH, JVM, BOTH, ASKED)
_KILLS_A_RUN = (1, 2, 2, 3)
_RATES = (50, 100, 200)
_WORKING = 0.8  # the share of kills that meet an application at work; the others one that starts


@dataclass(frozen=True)
class Kill:
    """A fault ``after_s`` seconds, of the first outcome since the start or, unless ``working``, of the start.

    Then nothing runs for ``pause_s`` seconds.
    """

    fault: str
    after_s: float
    working: bool
    pause_s: float


@dataclass(frozen=True)
class Plan:
    """A run: answers at ``rate`` a second, with their prices, until after the last kill."""

    seed: int
    rate: int
    kills: tuple[Kill, ...]

    def __str__(self) -> str:
        kills = ", ".join(
            f"{one.fault} {one.after_s:.2f} s after {'an outcome' if one.working else 'the start'}"
            for one in self.kills
        )
        return f"{self.rate}/s; {kills}"


def planned(seed: int) -> Plan:
    """Return the run of ``seed``."""
    drawn = random.Random(seed)
    faults = [FAULTS[seed % len(FAULTS)], *drawn.choices(FAULTS, k=drawn.choice(_KILLS_A_RUN) - 1)]
    return Plan(seed, drawn.choice(_RATES), tuple(_kill(drawn, fault) for fault in faults))


def _kill(drawn: random.Random, fault: str) -> Kill:
    working = drawn.random() < _WORKING
    after_s = drawn.uniform(0, 2.5) if working else drawn.uniform(0, 15)
    return Kill(fault, round(after_s, 3), working, round(drawn.choice((0, drawn.uniform(0, 5))), 3))
