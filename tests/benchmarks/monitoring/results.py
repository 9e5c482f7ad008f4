"""What was seen of the application while it worked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control_plane.demo.report import Rows

#: Answers, with as many prices, that are to be joined in a second on one core.
LEAST_RATE = 5_000.0
#: What is held grows at most so many times from the middle third of a soak to its last.
MOST_GROWTH = 1.15

SAMPLES = ("seconds", "outcomes", "outcomes/s", "state rows", "state MB", "memory MB", "CPU of a core")
THREADS = ("threads", "CPU s", "share")
STEPS = ("step of a batch", "outcomes, s", "windows, s")
_MIB = 2**20
_FEW = 0.01  # a share under which threads are taken together


@dataclass(frozen=True)
class Sample:
    """At a moment (seconds since the start): what was done so far, and what is held."""

    seconds: float
    outcomes: int
    state_rows: int
    state_bytes: int
    resident_bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class Drained:
    """All samples, the processor seconds by threads' names, and the seconds of batches by query and step."""

    samples: tuple[Sample, ...]
    threads: Mapping[str, float]
    steps: Mapping[str, Mapping[str, float]]

    @property
    def rate(self) -> float:
        """Outcomes a second, from the first sample that has any to the last."""
        begun = next((one for one in self.samples if one.outcomes), self.samples[-1])
        ended = next(one for one in self.samples if one.outcomes == self.samples[-1].outcomes)
        return (ended.outcomes - begun.outcomes) / max(ended.seconds - begun.seconds, 1e-9)

    @property
    def growth(self) -> dict[str, float]:
        """How many times the most that was held grew from the middle third of the work to the last."""
        third = len(self.samples) // 3
        if not third:
            return {}
        middle, last = self.samples[third : 2 * third], self.samples[-third:]
        return {
            name: max(getattr(one, name) for one in last) / max(1, *(getattr(one, name) for one in middle))
            for name in ("state_rows", "state_bytes", "resident_bytes")
        }


def samples(drained: Drained, most: int = 20) -> Rows:
    """At most so many rows, under :data:`SAMPLES`, evenly over the time."""
    every = max(1, -(-len(drained.samples) // most))
    chosen = [*drained.samples[:-1:every], drained.samples[-1]]
    first = Sample(0, 0, 0, 0, 0, 0)
    return [
        [
            f"{one.seconds:,.0f}",
            f"{one.outcomes:,}",
            f"{(one.outcomes - before.outcomes) / (one.seconds - before.seconds):,.0f}",
            f"{one.state_rows:,}",
            f"{one.state_bytes / _MIB:,.0f}",
            f"{one.resident_bytes / _MIB:,.0f}",
            f"{(one.cpu_seconds - before.cpu_seconds) / (one.seconds - before.seconds):.2f}",
        ]
        for before, one in zip([first, *chosen], chosen, strict=False)
    ]


def threads(drained: Drained) -> Rows:
    """One row a kind of threads, under :data:`THREADS`, the busiest first."""
    total = sum(drained.threads.values()) or 1.0
    large = {name: took for name, took in drained.threads.items() if took >= _FEW * total}
    rest = total - sum(large.values())
    ordered = sorted(large.items(), key=lambda item: -item[1])
    return [[name, f"{took:,.1f}", f"{took / total:.0%}"] for name, took in [*ordered, ("all others", rest)]]


def steps(drained: Drained) -> Rows:
    """One row a step of Spark's batches, under :data:`STEPS`: seconds of all batches together."""
    columns = [drained.steps.get(query, {}) for query in ("outcomes", "windows")]
    names = sorted({name for column in columns for name in column}, key=lambda name: -columns[0].get(name, 0))
    return [[name, *(f"{column.get(name, 0):,.1f}" for column in columns)] for name in names]
