"""What contestants did, and whether it is what has to hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RELAY, SERVING = "bare relay, no model", "this project"
PLAIN, PLAIN_A_CORE = "plain Python", "plain Python, one a core"
MICRO_BATCH = "Spark's micro-batches"

_MOST_P50, _MOST_P99, _MOST_RELAYS = 5.0, 20.0, 4.0
_MOST_P99_AT_1000 = 60.0
_LEAST_DRAIN, _LEAST_PLAINS = 10_000.0, 1.5
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
