"""What happens in a run: the same seed gives the same faults at the same moments. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How many faults a run has: most often one, so that the table says what it alone does.
_FAULTS_A_RUN = (1, 1, 1, 2, 2, 3)
_RATES = (100, 150, 200)
_FIRST_S, _LAST_SHARE = 2.0, 0.6  # faults come after so many seconds, and in this share of the sending


@dataclass(frozen=True)
class Injection:
    """A fault that begins ``at_s`` seconds after the first request and lasts ``seconds``."""

    at_s: float
    fault: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A run: requests at ``rate`` a second for ``seconds`` or until its faults are over, if that is later."""

    seed: int
    rate: int
    seconds: float
    injections: tuple[Injection, ...]

    def __str__(self) -> str:
        faults = ", ".join(
            f"{one.fault} at {one.at_s:.1f} s for {one.seconds:.1f} s" for one in self.injections
        )
        return f"{self.rate}/s for {self.seconds:.0f} s; {faults}"


def planned(
    seed: int, lasting: Mapping[str, tuple[float, float]], seconds: tuple[int, int] = (15, 25)
) -> Plan:
    """Return the run of ``seed``; ``lasting`` has the faults, and how long each lasts at least and at most.

    Seeds that follow each other begin with faults that do, so that a campaign has all of them equally often.
    """
    drawn = random.Random(seed)
    names = sorted(lasting)
    first = names[seed % len(names)]
    others = drawn.sample([name for name in names if name != first], len(names) - 1)
    sending = drawn.uniform(*seconds)
    injections = [
        Injection(
            at_s=round(drawn.uniform(_FIRST_S, _LAST_SHARE * sending), 3),
            fault=name,
            seconds=round(drawn.uniform(*lasting[name]), 3),
        )
        for name in [first, *others][: drawn.choice(_FAULTS_A_RUN)]
    ]
    return Plan(seed, drawn.choice(_RATES), sending, tuple(sorted(injections, key=lambda one: one.at_s)))
