"""Cleaned values to features: numbers that are centred, scaled and never missing, and categories.

What is fitted is only a centre and a scale for each number and the list of labels for each category, and
both are fitted on the rows given, so that a fold sees nothing of the rows held out. A missing number becomes
its centre, and one flag for each group of columns that go missing together says so. Numbers are rounded to
float32, because that is what XGBoost sees: the same splits then hold for Spark's own trees.

Never a feature: the price and ``savings_amount`` (derived from it), ids, addresses, URLs and free text.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
from pyspark.ml.feature import StringIndexerModel
from pyspark.sql import functions as F

from spark_apps.jvm import SEPARATOR, jvm, string_arrays
from spark_apps.listings.cleaning import FLAGS, clean_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from pyspark.sql import DataFrame

OPTIONS = (
    "Adaptive Cruise Control", "Alloy Wheels", "Android Auto", "Blind Spot Monitoring", "Heated Seats",
    "Leather Seats", "Multi Zone Climate Control", "Navigation System", "Premium Package", "Remote Start",
    "Sport Package", "Sunroof/Moonroof", "Technology Package", "Third Row Seating", "Tow Package",
)  # fmt: skip

_AS_THEY_ARE = (
    "back_legroom", "bed_length", "city_fuel_economy", "combine_fuel_economy", "daysonmarket",
    "engine_displacement", "front_legroom", "fuel_tank_volume", "height", "highway_fuel_economy", "latitude",
    "length", "longitude", "maximum_seating", "mileage", "options", "owner_count", "power_rpm",
    "seller_rating", "torque_lbft", "torque_rpm", "wheelbase", "width", "year",
)  # fmt: skip
_GROUPS_THAT_GO_MISSING = (
    "bed_length", "city_fuel_economy", "combine_fuel_economy", "fleet", "height", "horsepower", "mileage",
    "options", "owner_count", "seller_rating", "torque_lbft",
)  # fmt: skip

# Age at the day of the listing; where that day is missing, the training rows' median day stands in.
_AGE = "(coalesce(clean_listed, {listed}) - clean_year)"
_POWER = "coalesce(clean_horsepower, clean_power_hp)"

# name -> SQL over the cleaned columns
NUMBERS: dict[str, str] = {
    **{name: f"clean_{name}" for name in _AS_THEY_ARE},
    **{name: f"clean_{name}" for name in FLAGS},
    **{f"missing_{name}": f"CAST(clean_{name} IS NULL AS DOUBLE)" for name in _GROUPS_THAT_GO_MISSING},
    **{
        f"option_{option.lower().replace(' ', '_').replace('/', '_')}": (
            f"CAST(contains(clean_option_list, '{option}') AS DOUBLE)"
        )
        for option in OPTIONS
    },
    "age": _AGE,
    "age_squared": f"{_AGE} * {_AGE}",
    "horsepower": _POWER,
    "log_horsepower": f"ln({_POWER})",
    "log_mileage": "ln(1 + clean_mileage)",
    "mileage_a_year": f"clean_mileage / greatest({_AGE}, 0.5D)",
}

# name -> SQL over the cleaned columns. A model's name alone is ambiguous; the make goes with it.
CATEGORIES: dict[str, str] = {
    "bed": "clean_bed",
    "body_type": "clean_body_type",
    "cabin": "clean_cabin",
    "engine_type": "clean_engine_type",
    "fuel_type": "clean_fuel_type",
    "listing_color": "clean_listing_color",
    "make": "clean_make_name",
    "model": "concat(clean_make_name, ' ', clean_model_name)",
    "transmission": "clean_transmission",
    "transmission_display": "clean_transmission_display",
    "trim": "clean_trim_name",
    "wheel_system": "clean_wheel_system",
}

NUMBER_COLUMNS: tuple[str, ...] = tuple(f"number_{name}" for name in NUMBERS)
CATEGORY_COLUMNS: tuple[str, ...] = tuple(f"category_{name}" for name in CATEGORIES)
INDEX_COLUMNS: tuple[str, ...] = tuple(f"index_{name}" for name in CATEGORIES)

_NAME = re.compile(r"clean_(\w+)")
CLEAN_NAMES: tuple[str, ...] = tuple(
    sorted({name for sql in (*NUMBERS.values(), *CATEGORIES.values()) for name in _NAME.findall(sql)})
)

# Numbers beyond this many scales from the centre are pulled in, so that no mileage of 1e11 upsets a plane.
_FARTHEST = 10.0
_LISTED = "listed"
_NO_DAY = "CAST(NULL AS DOUBLE)"


@dataclass(frozen=True)
class Scaling:
    """What is fitted for the numbers: the median day of listing and, by name, centres and scales."""

    listed: float
    centres: dict[str, float]
    scales: dict[str, float]


@dataclass(frozen=True)
class Labels:
    """What is fitted for the categories: by name, the labels that get an index of their own, in order."""

    labels: dict[str, tuple[str, ...]]

    @property
    def arities(self) -> list[int]:
        """How many indices each category has: its labels and one for all other values."""
        return [len(self.labels[name]) + 1 for name in CATEGORIES]

    def indexer(self) -> StringIndexerModel:
        """Return the stage that turns categories into indices; unseen and missing ones share the last.

        ``StringIndexerModel.from_arrays_of_labels`` pads all arrays with nulls to the longest one, which
        makes the "unseen" index of every category that of the longest; hence the arrays are made here.
        """
        arrays = string_arrays([self.labels[name] for name in CATEGORIES])
        java_model = jvm().org.apache.spark.ml.feature.StringIndexerModel(
            f"StringIndexer_{uuid4().hex[:12]}", arrays
        )
        indexer = cast("StringIndexerModel", StringIndexerModel._from_java(java_model))
        indexer.set(indexer.inputCols, list(CATEGORY_COLUMNS))
        indexer.set(indexer.outputCols, list(INDEX_COLUMNS))
        indexer.set(indexer.handleInvalid, "keep")
        return indexer


def cleaned(listings: DataFrame) -> DataFrame:
    """Clean ``listings`` and prepare what features are fitted on.

    Needs: the raw columns as text. Adds: every ``clean_<name>`` that a feature is made of.
    """
    return listings.selectExpr("*", *clean_columns(CLEAN_NAMES))


def number_sample(clean: DataFrame, by: str, rows: int, at_most: int = 50_000) -> pa.Table:
    """Bring a sample of the numbers to the driver: centres and scales need no more.

    Needs: the columns that :func:`cleaned` adds, and ``by`` (int), the part that each of the ``rows`` belongs to. One job for
    all folds, where an aggregation for each would cost a compilation of sixty percentiles each.
    """
    values = [f"{sql.format(listed=_NO_DAY)} AS {name}" for name, sql in NUMBERS.items()]
    sample = clean if rows <= at_most else clean.sample(at_most / rows, seed=0)
    return sample.selectExpr(by, f"clean_listed AS {_LISTED}", *values).toArrow()


def fit_scaling(sample: pa.Table) -> Scaling:
    """Fit centres (medians) and scales (a third of the distance of the 5th from the 95th percentile).

    A number that hardly varies gets its deviation as its scale, or 1 where it does not vary at all.
    """
    centres, scales = {}, {}
    for name in NUMBERS:
        centres[name], scales[name] = _centre_and_scale(_values(sample, name))
    return Scaling(_centre_and_scale(_values(sample, _LISTED), default=2020.0)[0], centres, scales)


def _values(sample: pa.Table, name: str) -> np.ndarray[Any, Any]:
    return cast("np.ndarray[Any, Any]", sample.column(name).drop_null().to_numpy())


def _centre_and_scale(values: np.ndarray[Any, Any], default: float = 0.0) -> tuple[float, float]:
    if not len(values):
        return default, 1.0
    low, middle, high = np.percentile(values, [5, 50, 95])
    return float(middle), float((high - low) / 3 or values.std() or 1.0)


def label_counts(clean: DataFrame, by: str) -> Counter[tuple[int, str, str]]:
    """Count (part, category, label) in one job for all folds.

    Needs: the columns that :func:`cleaned` adds, and ``by`` (int), the part a row belongs to.
    """
    pairs = ", ".join(f"struct('{name}' AS name, {sql} AS label)" for name, sql in CATEGORIES.items())
    counts = (
        clean.select(F.col(by).alias("part"), F.explode(F.expr(f"array({pairs})")).alias("pair"))
        .groupBy("part", "pair.name", "pair.label")
        .count()
        .where(F.col("label").isNotNull() & ~F.col("label").contains(SEPARATOR))
    )
    return Counter({(row["part"], row["name"], row["label"]): row["count"] for row in counts.collect()})


def fit_labels(counts: Mapping[tuple[str, str], int], *, at_least: int, at_most: int) -> Labels:
    """Keep of each category the ``at_most`` most frequent labels seen in ``at_least`` rows.

    The rest shares one index: rare values teach a tree only noise, and every label of a split is kept in
    the model.
    """
    frequent = (item for item in counts.items() if item[1] >= at_least)
    ordered = sorted(frequent, key=lambda item: (-item[1], item[0]))
    return Labels(
        {name: tuple(label for (of, label), _ in ordered if of == name)[:at_most] for name in CATEGORIES}
    )


def feature_columns(scaling: Scaling) -> list[str]:
    """Return ``<sql> AS <column>`` for every number and category, over the columns of :func:`cleaned`."""
    numbers = [f"{_scaled(name, scaling)} AS number_{name}" for name in NUMBERS]
    return numbers + [f"{sql} AS category_{name}" for name, sql in CATEGORIES.items()]


def statement(scaling: Scaling) -> str:
    """Return the SELECT of the model's first stage: raw text in; numbers and categories added.

    It is two nested projections, so that nothing is read twice, and no join, no subquery and no function
    that could throw.
    """
    inner = ", ".join(("*", *clean_columns(CLEAN_NAMES)))
    dropped = ", ".join(f"clean_{name}" for name in CLEAN_NAMES)
    added = ", ".join(feature_columns(scaling))
    return f"SELECT * EXCEPT ({dropped}), {added} FROM (SELECT {inner} FROM __THIS__)"  # noqa: S608


def _scaled(name: str, scaling: Scaling) -> str:
    value = NUMBERS[name].format(listed=_double(scaling.listed))
    scaled = f"({value} - {_double(scaling.centres[name])}) / {_double(scaling.scales[name])}"
    bounded = f"greatest({-_FARTHEST}D, least({_FARTHEST}D, coalesce({scaled}, 0D)))"
    return f"CAST(CAST({bounded} AS FLOAT) AS DOUBLE)"


def _double(value: float) -> str:
    return f"{value!r}D"
