"""Which inputs are watched, and their bins as column expressions: training and monitoring use the same.

Those that move prices most, and each known in most listings. A listing's day is none of them: it moves on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.drift.reference import CategoryBins, NumberBins
from spark_apps.listings import features
from spark_apps.listings.cleaning import clean_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from spark_apps.drift.reference import Bins

_LONGEST_LABEL = 60  # characters

# name -> SQL over the cleaned columns, in their units
NUMBERS: dict[str, str] = {
    name: features.NUMBERS[name].sql
    for name in (
        "year", "mileage", "horsepower", "engine_displacement", "fuel_tank_volume", "city_fuel_economy",
        "wheelbase", "daysonmarket", "options", "owner_count",
    )
}  # fmt: skip
CATEGORIES: dict[str, str] = {
    name: f"left({features.CATEGORIES[name]}, {_LONGEST_LABEL})"
    for name in ("make", "model", "body_type", "fuel_type", "transmission", "wheel_system")
} | {
    name: f"CAST(CAST(clean_{name} AS BOOLEAN) AS STRING)"
    for name in ("is_new", "franchise_dealer", "has_accidents")
}

_ALL = {**NUMBERS, **CATEGORIES}
_CLEAN_NAMES = tuple(sorted({name for sql in _ALL.values() for name in re.findall(r"clean_(\w+)", sql)}))


def values(listings: DataFrame, *keep: str) -> DataFrame:
    """Return the watched inputs of ``listings``, a column each by its name, and the columns to ``keep``.

    Needs: the raw columns as text. Numbers are doubles, categories text; null where missing.
    """
    clean = listings.selectExpr(*keep, *clean_columns(_CLEAN_NAMES))
    return clean.selectExpr(*keep, *(f"{sql} AS {name}" for name, sql in _ALL.items()))


def bin_of(column: str, bins: Bins) -> Column:
    """Return the number of a value's bin; what is null is in the bin after the last."""
    if isinstance(bins, CategoryBins):
        # Starts at 1, and is 0 for what is not there.
        found = F.array_position(F.lit(list(bins.labels)), F.col(column)) if bins.labels else F.lit(0)
    elif isinstance(bins, NumberBins):
        found = F.expr(steps(column, bins.edges, range(len(bins.counts))))
    else:
        raise TypeError(f"bins of no kind that is known: {bins!r}")
    return F.when(F.col(column).isNull(), len(bins.counts)).otherwise(found).cast("int")


def steps(column: str, edges: Sequence[float], results: Sequence[float]) -> str:
    """Return SQL for the result of the band that a number is in.

    It is ``results[i]`` above ``edges[i-1]`` up to and with ``edges[i]``.
    """
    *first, last = (f"{float(result)!r}D" for result in results)
    cases = [f"WHEN {column} <= {edge!r}D THEN {result}" for edge, result in zip(edges, first, strict=True)]
    return f"CASE {' '.join(cases)} ELSE {last} END" if cases else last
