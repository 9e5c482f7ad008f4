"""How a shadow's answers compare with those that were served to the same requests. Pure.

Both are taken by the rule for readers: the first answer for a (partition, offset) counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from control_plane.records import Answer

_ALIKE = 0.01  # relative: prices no further apart


@dataclass(frozen=True)
class Errors:
    """Errors against the prices that the cars got, US dollars."""

    rmse: float
    mae: float
    bias: float


@dataclass(frozen=True)
class Comparison:
    """What was found over the requests that both answered.

    ``differing`` is the share of prices that differ by more than a hundredth, ``difference`` the median and
    ``most`` the greatest of the relative differences, all of the served price; ``rejected_otherwise`` are the
    requests that one of the two rejected. ``priced`` of them have a real price, by which the errors are.
    """

    both: int
    rejected_otherwise: int
    differing: float | None
    difference: float | None
    most: float | None
    priced: int
    served: Errors | None
    shadow: Errors | None


@dataclass
class Pairs:
    """Takes both topics' answers in any order, and keeps of each what the comparison needs."""

    version: int
    served: dict[tuple[int, int], tuple[str | None, float | None]] = field(default_factory=dict)
    shadow: dict[tuple[int, int], float | None] = field(default_factory=dict)

    def take_shadow(self, answer: Answer) -> None:
        """Take an answer of ``predictions.shadow``; those of other versions are passed over."""
        if answer.model_version == self.version:
            self.shadow.setdefault((answer.partition, answer.offset), answer.price)

    def take_served(self, answer: Answer) -> None:
        """Take an answer of ``predictions``, once the shadow's are in; what it did not answer is let go."""
        place = (answer.partition, answer.offset)
        if place in self.shadow:
            self.served.setdefault(place, (answer.request_id, answer.price))

    def compared(self, actual: Mapping[str, float]) -> Comparison:
        """Return the comparison; ``actual`` are real prices by request id."""
        both = [(*self.served[place], self.shadow[place]) for place in self.served]
        prices = [
            (request_id, served, shadow)
            for request_id, served, shadow in both
            if served is not None and shadow is not None
        ]
        relative = [abs(shadow - served) / served for _, served, shadow in prices if served > 0]
        told = [
            (served, shadow, actual[request_id])
            for request_id, served, shadow in prices
            if request_id is not None and request_id in actual
        ]
        return Comparison(
            both=len(both),
            rejected_otherwise=sum((served is None) != (shadow is None) for _, served, shadow in both),
            differing=fmean(one > _ALIKE for one in relative) if relative else None,
            difference=median(relative) if relative else None,
            most=max(relative, default=None),
            priced=len(told),
            served=_errors([served - real for served, _, real in told]),
            shadow=_errors([shadow - real for _, shadow, real in told]),
        )


def _errors(off: Sequence[float]) -> Errors | None:
    if not off:
        return None
    return Errors(
        rmse=sqrt(fmean(one * one for one in off)), mae=fmean(abs(one) for one in off), bias=fmean(off)
    )
