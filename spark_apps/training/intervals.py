"""Intervals by split conformal prediction, in bands of the predicted price.

The residuals are those of out-of-fold predictions, relative to the prediction: a share of the price. Each
band has quantiles of its own (Mondrian conformal prediction, Vovk et al. 2005), so that dear and cheap cars
are covered alike, and one for each side, because prices miss upwards by more than downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_BANDS = 6
_ROWS_A_BAND = 100


@dataclass(frozen=True)
class Intervals:
    """From ``edges[i-1]`` to ``edges[i]`` dollars predicted, prices lie within these shares of it."""

    edges: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def ends(self, prediction: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return the low and the high ends for predictions, dollars."""
        band = np.searchsorted(self.edges, prediction, side="right")
        low, high = (prediction * (1 + np.array(shares)[band]) for shares in (self.below, self.above))
        return np.maximum(0, low), np.maximum(0, high)

    def sql(self, prediction: str) -> tuple[str, str]:
        """Return the SQL of the low and of the high end, for the column ``prediction``."""
        low, high = (self._cases(prediction, shares) for shares in (self.below, self.above))
        return f"greatest(0D, {prediction} * (1 + {low}))", f"greatest(0D, {prediction} * (1 + {high}))"

    def _cases(self, prediction: str, shares: tuple[float, ...]) -> str:
        cases = [
            f"WHEN {prediction} < {edge!r}D THEN {share!r}D"
            for edge, share in zip(self.edges, shares, strict=False)
        ]
        return f"CASE {' '.join(cases)} ELSE {shares[-1]!r}D END" if cases else f"{shares[-1]!r}D"


def fit_intervals(
    prediction: np.ndarray[Any, Any], real: np.ndarray[Any, Any], confidence: float
) -> Intervals:
    """Fit on out-of-fold predictions and real prices, dollars."""
    bands = max(1, min(_BANDS, len(real) // _ROWS_A_BAND))
    edges = np.quantile(prediction, np.linspace(0, 1, bands + 1)[1:-1])
    band = np.searchsorted(edges, prediction, side="right")
    share = (real - prediction) / np.maximum(prediction, 1.0)
    tail = (1 - confidence) / 2
    ends = [_ends(np.sort(share[band == number]), tail) for number in range(bands)]
    return Intervals(
        tuple(float(edge) for edge in edges), tuple(low for low, _ in ends), tuple(high for _, high in ends)
    )


def _ends(ordered: np.ndarray[Any, Any], tail: float) -> tuple[float, float]:
    """Return the quantiles with the correction for finite samples: the rank is of n + 1 rows."""
    if not len(ordered):
        return 0.0, 0.0
    rank = max(1, math.floor(tail * (len(ordered) + 1)))
    return float(ordered[rank - 1]), float(ordered[-rank])


def calibration(
    prediction: np.ndarray[Any, Any],
    real: np.ndarray[Any, Any],
    test_prediction: np.ndarray[Any, Any],
    test_real: np.ndarray[Any, Any],
) -> dict[float, float]:
    """Return for each confidence the share of test prices that intervals fitted for it hold."""
    found = {}
    for confidence in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98):
        low, high = fit_intervals(prediction, real, confidence).ends(test_prediction)
        found[confidence] = float(((low <= test_real) & (test_real <= high)).mean())
    return found
