"""How time grows with rows. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Point:
    """So many seconds for so many rows."""

    rows: int
    seconds: float


def exponents(points: Sequence[Point]) -> list[float]:
    """Return between neighbours the power of the rows that the time grows with: 1 is in proportion."""
    return [
        math.log(after.seconds / before.seconds) / math.log(after.rows / before.rows)
        for before, after in pairwise(points)
    ]


def times_a_row(points: Sequence[Point]) -> list[float]:
    """Return the time a row of each point as a multiple of the first point's."""
    return [(point.seconds / point.rows) / (points[0].seconds / points[0].rows) for point in points]
