"""A batch's profile: what became of its rows, what is missing, how numbers and categories are distributed.

It says enough to compare two batches, or live listings with what a model was trained on, without their rows:
the quantiles hold the deciles, and a category has the counts of its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from pyspark.sql import functions as F

from spark_apps.listings.cleaning import FLAGS, NUMBERS, clean_columns
from spark_apps.listings.features import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame, Row

# Percentiles, and finer at the ends: what lies behind the 99 % quantile may be far away.
LEVELS = (0, 0.001, *(percent / 100 for percent in range(1, 100)), 0.999, 1)
# More than any column of the dataset has: 9,062 trims are the most. Only of more, counts are estimates.
_LABELS = 10_000
_LONGEST_LABEL = 60  # characters


class _Column(BaseModel):
    model_config = ConfigDict(frozen=True)
    known: int  # usable rows with a value


class NumberProfile(_Column):
    """A number's quantiles at the profile's levels, in the cleaned column's unit; none if all are missing."""

    quantiles: tuple[float, ...]


class CategoryProfile(_Column):
    """How many usable rows have each value, the most frequent first; a flag's are ``true`` and ``false``."""

    labels: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether every value is listed."""
        return sum(self.labels.values()) == self.known


class Profile(BaseModel):
    """The profile of a batch. ``unusable`` counts rows by the rule that dropped or quarantined them."""

    model_config = ConfigDict(frozen=True)
    batch: str
    rows: int
    unusable: dict[str, int]
    levels: tuple[float, ...] = LEVELS
    numbers: dict[str, NumberProfile]
    categories: dict[str, CategoryProfile]

    @property
    def usable(self) -> int:
        """The rows that are neither dropped nor quarantined."""
        return self.rows - sum(self.unusable.values())

    @property
    def missing(self) -> dict[str, float]:
        """The share of the usable rows without a value, by column; empty when no row is usable."""
        columns = {**self.numbers, **self.categories}
        return {name: 1 - column.known / self.usable for name, column in columns.items() if self.usable}

    @property
    def medians(self) -> dict[str, float]:
        """The medians of the numbers that have any."""
        return {name: self.quantile(name, 0.5) for name, number in self.numbers.items() if number.known}

    def quantile(self, number: str, level: float) -> float:
        """Return a quantile of a number that is known somewhere; ``level`` is one of the profile's."""
        return self.numbers[number].quantiles[self.levels.index(level)]


def profile(records: DataFrame, batch: str) -> Profile:
    """Return the profile of judged ``records``, by one aggregation.

    Needs: the kept raw columns and ``verdict``. A quantile's level is off by 0.0001 at most.
    """
    columns = {name: f"clean_{name}" for name in NUMBERS}
    columns |= {name: f"left({sql}, {_LONGEST_LABEL})" for name, sql in CATEGORIES.items()}
    columns |= {name: f"CAST(CAST(clean_{name} AS BOOLEAN) AS STRING)" for name in FLAGS}
    usable = (F.when(F.col("verdict").isNull(), F.expr(sql)).alias(name) for name, sql in columns.items())
    values = records.selectExpr("verdict", *clean_columns()).select("verdict", *usable)
    found = values.selectExpr("count(*) AS rows", f"{_top('verdict')} AS verdicts", *map(_summary, columns))
    return _profile(batch, found.collect()[0])


def _summary(column: str) -> str:
    if column in NUMBERS:
        levels = ", ".join(f"{level}D" for level in LEVELS)
        what = f"percentile_approx({column}, array({levels}), 10000) AS quantiles"
    else:
        what = f"{_top(column)} AS labels"
    return f"struct(count({column}) AS known, {what}) AS {column}"


def _top(column: str) -> str:
    return f"approx_top_k({column}, {_LABELS}, {_LABELS})"


def _profile(batch: str, found: Row) -> Profile:
    return Profile(
        batch=batch,
        rows=found["rows"],
        unusable=_counts(found["verdicts"]),
        numbers={
            name: NumberProfile(known=found[name]["known"], quantiles=found[name]["quantiles"] or ())
            for name in NUMBERS
        },
        categories={
            name: CategoryProfile(known=found[name]["known"], labels=_counts(found[name]["labels"]))
            for name in (*CATEGORIES, *FLAGS)
        },
    )


def _counts(top: Iterable[Any]) -> dict[str, int]:
    """Return counts by value, the greatest first; missing values are left out."""
    counts = {item["item"]: item["count"] for item in top if item["item"] is not None}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
