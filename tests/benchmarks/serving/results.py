"""What contestants did, and whether it is what has to hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

RELAY, SERVING = "bare relay, no model", "this project"
PLAIN, PLAIN_A_CORE = "plain Python", "plain Python, one a core"
MICRO_BATCH = "Spark's micro-batches"

_MOST_P50, _MOST_P99, _MOST_RELAYS = 5.0, 20.0, 4.0
_MOST_P99_AT_1000 = 60.0
_LEAST_DRAIN, _LEAST_PLAINS = 10_000.0, 1.5
# Of a soak at 200 requests a second.
_MOST_P999, _MOST_GROWTH = 60.0, 1.05
_MOST_IDLE_CORE, _MOST_IDLE_MB = 0.05, 900.0
#: The shortest backlog, requests, whose drain is judged.
BACKLOG = 200_000


@dataclass(frozen=True)
class Latency:
    """At a rate (requests a second): p50, p99 and p99.9, the worst, in ms, and how many they are of."""

    rate: float
    percentiles: tuple[float, ...]
    worst: float
    answers: int


@dataclass(frozen=True)
class Drain:
    """A backlog: how many requests, and the seconds from the first one's record to the last answer's."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Measured:
    """What one contestant did; ``cpu_us`` is its processor time for a request of the last backlog."""

    name: str
    latencies: tuple[Latency, ...]
    drains: tuple[Drain, ...]
    cpu_us: float
    resident_bytes: int

    def percentile(self, place: int, rate: float) -> float | None:
        """Return the p50 (0), p99 (1) or p99.9 (2) at a rate, if it was measured."""
        return next((one.percentiles[place] for one in self.latencies if one.rate == rate), None)

    @property
    def drain(self) -> float | None:
        """The rate at which its last large backlog was drained, if it had one."""
        return next((one.rate for one in reversed(self.drains) if one.requests >= BACKLOG), None)


@dataclass(frozen=True)
class Bound:
    """Something that has to hold of this project: what was found, and between what it may lie."""

    what: str
    found: float
    least: float = 0
    most: float = float("inf")

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.least <= self.found <= self.most


@dataclass(frozen=True)
class Minute:
    """A minute of a soak: how late each answer came, ms, and what both servers held then, bytes (PSS)."""

    late: np.ndarray[Any, Any]
    active_bytes: int
    standby_bytes: int

    @property
    def percentiles(self) -> tuple[float, float, float, float]:
        """The p50, p99, p99.9 and the worst, in ms."""
        p50, p99, p999, worst = np.percentile(self.late, (50, 99, 99.9, 100)).tolist()
        return p50, p99, p999, worst

    def told(self) -> dict[str, Any]:
        """Return it without each answer, for a file."""
        held = {"active_bytes": self.active_bytes, "standby_bytes": self.standby_bytes}
        return {"answers": len(self.late), "percentiles": self.percentiles, **held}


@dataclass(frozen=True)
class Idle:
    """What a server and its standby, in this order, take with nothing to do: cores, and bytes (PSS)."""

    when: str
    cores: tuple[float, ...]
    held_bytes: tuple[int, ...]


def soak_bounds(minutes: Sequence[Minute], idle: Sequence[Idle]) -> list[Bound]:
    """Return what has to hold of a soak; what grows is told by its middle and its last third."""
    third = len(minutes) // 3
    middle, last = minutes[third : len(minutes) - third], minutes[len(minutes) - third :]
    found = [Bound("p99.9 of all answers, ms", _p999(minutes), most=_MOST_P999)]
    if third:
        for who, which in (("server", "active_bytes"), ("standby", "standby_bytes")):
            growth = _mean(last, which) / _mean(middle, which)
            found.append(Bound(f"{who}: memory, last third to the middle one", growth, most=_MOST_GROWTH))
    for one in idle:
        for who, cores, held in zip(("server", "standby"), one.cores, one.held_bytes, strict=True):
            found += [
                Bound(f"{who}, {one.when}: % of a core", 100 * cores, most=100 * _MOST_IDLE_CORE),
                Bound(f"{who}, {one.when}: MB", held / 1e6, most=_MOST_IDLE_MB),
            ]
    return found


def _p999(minutes: Sequence[Minute]) -> float:
    return float(np.percentile(np.concatenate([one.late for one in minutes]), 99.9))


def _mean(minutes: Sequence[Minute], which: str) -> float:
    return float(np.mean([getattr(one, which) for one in minutes]))


def bounds(measured: Sequence[Measured]) -> list[Bound]:
    """Return what has to hold, as far as it was measured."""
    by_name = {one.name: one for one in measured}
    if (ours := by_name.get(SERVING)) is None:
        return []
    relay, plain = by_name.get(RELAY), by_name.get(PLAIN)
    relays = relay.percentile(1, 200) if relay else None
    plains = plain.drain if plain else None
    wanted = [
        ("p50 at 200 requests/s, ms", ours.percentile(0, 200), 0.0, _MOST_P50),
        ("p99 at 200 requests/s, ms", ours.percentile(1, 200), 0.0, _MOST_P99),
        ("… to that of the relay", _ratio(ours.percentile(1, 200), relays), 0.0, _MOST_RELAYS),
        ("p99 at 1,000 requests/s, ms", ours.percentile(1, 1_000), 0.0, _MOST_P99_AT_1000),
        ("drain of a backlog, requests/s", ours.drain, _LEAST_DRAIN, float("inf")),
        (f"… to that of {PLAIN}", _ratio(ours.drain, plains), _LEAST_PLAINS, float("inf")),
    ]
    return [Bound(what, found, least, most) for what, found, least, most in wanted if found is not None]


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
