"""The population stability index of two distributions over the same bins, and what chance makes of it. Pure.

PSI = sum over the bins of (q - p) ln(q / p), p and q being the shares before and now: 0 where they are equal.
By custom less than 0.1 is stable and 0.25 or more has drifted (Siddiqi 2006, "Credit Risk Scorecards").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_Z_99 = 2.326  # of the normal distribution


def psi(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the index of two tallies over the same bins; 0 when either is empty.

    A bin that is empty in one of them counts there as half a row: its logarithm would be infinite.
    """
    rows_before, rows_now = sum(before), sum(now)
    if not (rows_before and rows_now):
        return 0.0
    return math.fsum(
        (q - p) * math.log(q / p)
        for p, q in (
            (max(a, 0.5) / rows_before, max(b, 0.5) / rows_now)
            for a, b in zip(before, now, strict=True)
            if a or b
        )
    )


def by_chance(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the index that one window in a hundred exceeds though nothing has changed.

    If both are samples of one distribution, the index over (1/n + 1/m) is chi-squared with one degree of
    freedom less than there are bins (Yurdakul 2018, "Statistical properties of the population stability
    index"); its quantile is by Wilson and Hilferty's cube.
    """
    rows_before, rows_now = sum(before), sum(now)
    degrees = sum(1 for a, b in zip(before, now, strict=True) if a or b) - 1
    if degrees < 1 or not (rows_before and rows_now):
        return 0.0
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + _Z_99 * math.sqrt(spread)) ** 3
    return quantile * (1 / rows_before + 1 / rows_now)
