"""What live traffic is held against: the rows that a model version was trained on, in bins. Pure.

It lies beside the model's stages (the version's digest holds for it too), is a few kilobytes whatever the
train set, and says by itself how to bin a value and what to expect of an interval's width.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

FILE = "reference.json"

# Outputs, beside the inputs that :mod:`spark_apps.drift.inputs` names.
PREDICTION, INTERVAL_WIDTH = "prediction", "interval_width"

_BINS = 10  # of a number
_LABELS = 20  # of a category; all others share a bin
_BANDS = 5  # of half widths
_ROWS_A_BAND = 100


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Bins(_Frozen):
    """How many rows lie in each bin, and how many have no value: their bin is the one after the last."""

    counts: tuple[int, ...]
    missing: int

    @property
    def tally(self) -> tuple[int, ...]:
        """The rows of every bin, the missing ones' last."""
        return (*self.counts, self.missing)


class NumberBins(Bins):
    """Bin i holds the values above ``edges[i-1]`` up to and with ``edges[i]``; the last is open."""

    edges: tuple[float, ...]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if len(self.counts) != len(self.edges) + 1 or any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("expects edges that ascend, and one count more")
        return self


class CategoryBins(Bins):
    """Bin 0 holds all values without a label of their own, bin i + 1 those of ``labels[i]``."""

    labels: tuple[str, ...]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if len(self.counts) != len(self.labels) + 1:
            raise ValueError("expects a count for each label, and one before them")
        return self


class ErrorByWidth(_Frozen):
    """What cars erred out of fold as a share of their interval's half width, in bands of that width.

    Band i holds half widths above ``edges[i-1]`` dollars up to and with ``edges[i]``.
    """

    edges: tuple[float, ...]
    mae: tuple[float, ...]
    rmse: tuple[float, ...]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not len(self.mae) == len(self.rmse) == len(self.edges) + 1:
            raise ValueError("expects two shares for each band")
        return self


class Reference(_Frozen):
    """The distributions of the inputs in a train set, and of the outputs for its rows when held out."""

    numbers: dict[str, NumberBins]
    categories: dict[str, CategoryBins]
    outputs: dict[str, NumberBins]
    errors: ErrorByWidth

    @property
    def digest(self) -> str:
        """The SHA-256 of its file, in hex: a tag of the version, by which one knows that there is one."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Put it beside a saved model's stages in ``folder``."""
        (folder / FILE).write_text(self._text())

    def _text(self) -> str:
        return self.model_dump_json() + "\n"


def number_bins(quantiles: Sequence[float], known: int, missing: int) -> NumberBins:
    """Bin a number at its deciles; equal ones make fewer bins.

    ``quantiles`` are at levels in equal steps from 0 to 1 (none where nothing is known); the shares are as
    exact as those steps.
    """
    steps = len(quantiles) - 1
    edges = sorted({float(quantiles[round(steps * bin_ / _BINS)]) for bin_ in range(1, _BINS) if known})
    up_to = [round(known * (bisect_right(quantiles, edge) - 1) / steps) for edge in edges]
    counts = tuple(after - before for before, after in pairwise((0, *up_to, known)))
    return NumberBins(edges=tuple(edges), counts=counts, missing=missing)


def category_bins(found: Mapping[str, int], known: int, missing: int) -> CategoryBins:
    """Give the most frequent labels a bin each; ``found`` may lack rare ones."""
    kept = dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_LABELS])
    counts = (known - sum(kept.values()), *kept.values())
    return CategoryBins(labels=tuple(kept), counts=counts, missing=missing)


def output_bins(values: np.ndarray[Any, Any]) -> NumberBins:
    """Bin what a model gave for rows when they were held out."""
    quantiles = np.quantile(values, np.linspace(0, 1, 1001), method="inverted_cdf")
    return number_bins(quantiles.tolist(), len(values), 0)


def error_by_width(half_width: np.ndarray[Any, Any], error: np.ndarray[Any, Any]) -> ErrorByWidth:
    """Fit on held-out rows: half widths of their intervals and errors of their prices, dollars.

    The shares are ratios of sums, so that the mean of half width times share is the mean error of a band.
    """
    bands = max(1, min(_BANDS, len(error) // _ROWS_A_BAND))
    edges = np.unique(np.quantile(half_width, np.linspace(0, 1, bands + 1)[1:-1]))
    band = np.searchsorted(edges, half_width, side="left")

    def ratio(of: np.ndarray[Any, Any], to: np.ndarray[Any, Any], number: int) -> float:
        total = float(to[band == number].sum())
        return float(of[band == number].sum()) / total if total > 0 else 0.0

    numbers = range(len(edges) + 1)
    return ErrorByWidth(
        edges=tuple(edges.tolist()),
        mae=tuple(ratio(np.abs(error), half_width, number) for number in numbers),
        rmse=tuple(ratio(error**2, half_width**2, number) ** 0.5 for number in numbers),
    )
