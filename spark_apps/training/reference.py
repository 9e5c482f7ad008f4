"""The reference of a version, made of its train rows in one pass and of what they got when held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_apps.drift import inputs
from spark_apps.drift.reference import (
    INTERVAL_WIDTH,
    PREDICTION,
    Reference,
    category_bins,
    error_by_width,
    number_bins,
    output_bins,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from spark_apps.training.ensemble import Ensemble

_STEPS = 1_000
# More than any column of the dataset has; of more, counts are estimates.
_TRACKED = 10_000
_LABELS = 100


def reference(train: DataFrame, ensemble: Ensemble) -> Reference:
    """Return what live traffic is held against, by one aggregation of the train rows.

    Needs: the kept raw columns.
    """
    summaries = (*map(_quantiles, inputs.NUMBERS), *map(_top, inputs.CATEGORIES))
    found = inputs.values(train).selectExpr("count(*) AS rows", *summaries).collect()[0]
    low, high = ensemble.intervals.ends(ensemble.stacked)
    return Reference(
        numbers={
            name: number_bins(found[name]["quantiles"] or (), *_known(found, name)) for name in inputs.NUMBERS
        },
        categories={
            name: category_bins(_counts(found[name]), *_known(found, name)) for name in inputs.CATEGORIES
        },
        outputs={PREDICTION: output_bins(ensemble.stacked), INTERVAL_WIDTH: output_bins(high - low)},
        errors=error_by_width((high - low) / 2, ensemble.stacked - ensemble.real),
    )


def _quantiles(name: str) -> str:
    levels = ", ".join(f"{level / _STEPS}D" for level in range(_STEPS + 1))
    what = f"percentile_approx({name}, array({levels}), 10000) AS quantiles"
    return f"struct(count({name}) AS known, {what}) AS {name}"


def _top(name: str) -> str:
    return f"struct(count({name}) AS known, approx_top_k({name}, {_LABELS}, {_TRACKED}) AS labels) AS {name}"


def _known(found: Row, name: str) -> tuple[int, int]:
    known = found[name]["known"]
    return known, found["rows"] - known


def _counts(found: Row) -> dict[str, int]:
    return {item["item"]: item["count"] for item in found["labels"] if item["item"] is not None}
