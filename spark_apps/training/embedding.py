"""What a label is worth, as a ridge regression has learned it: numbers that all members see.

Of each category there is a column with the label's coefficient (``level_make``: how much dearer it is), of
some with how much more a label changes with age or miles (``model_by_age``). So every split of a tree is one
of a number, which Spark's trees are quick at, and no member has thousands of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spark_apps.listings.features import CATEGORIES, NUMBERS
from spark_apps.training.shrinkage import ridge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spark_apps.listings.features import Labels
    from spark_apps.training.shrinkage import NormalEquations

Numbers = np.ndarray[Any, Any]

# Categories whose labels have slopes of their own over a number.
INTERACTIONS = (("model", "age"), ("model", "mileage"), ("make", "mileage"))

LEVEL_COLUMNS: tuple[str, ...] = tuple(f"level_{category}" for category in CATEGORIES)
SLOPE_COLUMNS: tuple[str, ...] = tuple(f"{category}_by_{number}" for category, number in INTERACTIONS)
# A slope times its number, which is what it adds to the logarithm of the price: by column its SQL.
PRODUCTS: dict[str, str] = {
    f"{category}_by_{number}_product": f"{category}_by_{number} * number_{number}"
    for category, number in INTERACTIONS
}

# How many labels, the most frequent ones, have slopes.
_SLOPES_AT_MOST = 500

# What changes a price by less than a millionth is what rounding has left of nothing, and no column should
# have nothing but that in it.
_NOTHING = 1e-6


def one_hot_widths(labels: Labels) -> tuple[int, ...]:
    """Return the width of each category's one-hot vector: its indices, and one that no listing has."""
    return tuple(arity + 1 for arity in labels.arities)


def slope_widths(labels: Labels) -> tuple[int, ...]:
    """Return of how many labels each interaction has slopes."""
    widths = dict(zip(CATEGORIES, one_hot_widths(labels), strict=True))
    return tuple(min(widths[category], _SLOPES_AT_MOST) for category, _ in INTERACTIONS)


@dataclass(frozen=True)
class Embedding:
    """A ridge regression of the logarithm of the price, by what it says of numbers and of labels.

    ``numbers`` are the coefficients of the numbers, ``levels`` and ``slopes`` by column what it says of each
    index of a category. They are numbers that a float32 holds: trees see no others.
    """

    numbers: Numbers
    levels: Mapping[str, Numbers]
    slopes: Mapping[str, Numbers]
    intercept: float

    def looked_up(self) -> list[str]:
        """Return the SQL of the columns of levels and slopes; it needs the indices."""
        levels = zip(LEVEL_COLUMNS, CATEGORIES, strict=True)
        slopes = zip(SLOPE_COLUMNS, (category for category, _ in INTERACTIONS), strict=True)
        return [
            *(_look_up(self.levels[column], category, column) for column, category in levels),
            *(_look_up(self.slopes[column], category, column) for column, category in slopes),
        ]

    def coefficients(self, columns: Sequence[str]) -> Numbers:
        """Return what the regression multiplies each of these columns with."""
        of = dict(zip((f"number_{name}" for name in NUMBERS), self.numbers, strict=True))
        of |= dict.fromkeys((*LEVEL_COLUMNS, *PRODUCTS), 1.0)
        return np.array([of.get(column, 0.0) for column in columns])


def embed(labels: Labels, equations: NormalEquations) -> Embedding:
    """Solve ``equations``, whose features are the numbers, the one-hot vectors and the interactions."""
    widths = (len(NUMBERS), *one_hot_widths(labels), *slope_widths(labels))
    solved = ridge(equations, widths)
    numbers, *rest = np.split(solved.coefficients, np.cumsum(widths)[:-1])
    told = [np.where(np.abs(part) < _NOTHING, 0, part).astype(np.float32) for part in rest]
    return Embedding(
        numbers=numbers,
        levels=dict(zip(LEVEL_COLUMNS, told, strict=False)),
        slopes=dict(zip(SLOPE_COLUMNS, told[len(LEVEL_COLUMNS) :], strict=True)),
        intercept=solved.intercept,
    )


def _look_up(values: Numbers, category: str, to: str) -> str:
    """Return the SQL that looks a label's number up by its index: 0 where it has none."""
    # One text, folded to a constant when the query is planned: an array of so many numbers would be parsed,
    # number for number, with each plan.
    array = f"CAST(split('{' '.join(map(str, values))}', ' ') AS ARRAY<FLOAT>)"
    return f"CAST(coalesce(get({array}, CAST(index_{category} AS INT)), 0) AS DOUBLE) AS {to}"
