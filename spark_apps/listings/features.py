"""Cleaned values to features: numbers on one scale that are never missing, and categories.

A number is moved and scaled by constants that are facts about cars (a typical value, a typical spread), so
that nothing about it is fitted; a missing one becomes the typical value, and one flag for each group of
columns that go missing together says so. Fitted are only the labels of the categories, the ranks of the
variants, and the facts that stand in for a missing day of listing or trim. Numbers are rounded to float32,
because that is what XGBoost sees: the same splits then hold for Spark's own trees.

A *variant* is what is built alike: model, trim, engine and so on in one. There are too many of them for
categories, but a tree that sees the rank by how many are listed, as a number, can set apart the frequent ones
one by one and take the rare ones together. On real listings this lowers the RMSE by 2 %, which neither more
labels nor averages of prices (fitted on other rows) do.

Never a feature: the price and ``savings_amount`` (derived from it), ids, addresses, URLs and free text. Of a
VIN no more is read than what it says of how the car is built.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from pyspark.ml.feature import StringIndexerModel
from pyspark.sql import Window
from pyspark.sql import functions as F

from spark_apps.jvm import SEPARATOR, jvm, string_arrays
from spark_apps.listings.cleaning import FLAGS, UNREADABLE, clean_columns, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from spark_apps.listings.facts import Facts

# The frequent ones of the dataset, of some 150.
OPTIONS = (
    "Adaptive Cruise Control", "Alloy Wheels", "Android Auto", "Appearance Package", "Backup Camera",
    "Blind Spot Monitoring", "Bluetooth", "Cargo Package", "CarPlay", "Cold Weather Package",
    "Convenience Package", "Heat Package", "Heated Seats", "LE Package", "Leather Seats",
    "Multi Zone Climate Control", "Navigation System", "Parking Sensors", "Power Package",
    "Preferred Package", "Premium Package", "Quick Order Package", "Remote Start", "Sport Package",
    "Steel Wheels", "Sunroof/Moonroof", "Technology Package", "Third Row Seating", "Tow Package",
)  # fmt: skip

# name -> (typical value, typical spread), in the units of the cleaned column
_AS_THEY_ARE: dict[str, tuple[float, float]] = {
    "back_legroom": (38, 3),
    "bed_length": (67, 10),
    "city_fuel_economy": (22, 8),
    "combine_fuel_economy": (50, 15),
    "daysonmarket": (40, 80),
    "engine_displacement": (2500, 1200),
    "front_legroom": (42, 2),
    "fuel_tank_volume": (17, 5),
    "height": (66, 6),
    "highway_fuel_economy": (29, 8),
    "latitude": (37, 5),
    "length": (193, 18),
    "longitude": (-90, 14),
    "maximum_seating": (5, 1.2),
    "mileage": (20_000, 40_000),
    "options": (6, 6),
    "owner_count": (1.5, 1),
    "power_rpm": (5700, 700),
    "seller_rating": (4.2, 0.5),
    "torque_lbft": (260, 100),
    "torque_rpm": (3500, 1500),
    "wheelbase": (114, 12),
    "width": (78, 6),
    "year": (2018, 4),
}
_GROUPS_THAT_GO_MISSING = (
    "bed_length", "city_fuel_economy", "combine_fuel_economy", "fleet", "height", "horsepower", "mileage",
    "options", "owner_count", "seller_rating", "torque_lbft",
)  # fmt: skip

# Age at the day of the listing, years; ``{today}`` stands in for a missing day.
_AGE = "(coalesce(clean_listed, {today}) - clean_year)"
_POWER = "coalesce(clean_horsepower, clean_power_hp)"
_PLAIN = (0.0, 1.0)


@dataclass(frozen=True)
class Number:
    """A number's SQL over the cleaned columns, its typical value and its typical spread."""

    sql: str
    typical: float
    spread: float


NUMBERS: dict[str, Number] = {
    **{name: Number(f"clean_{name}", *scale) for name, scale in _AS_THEY_ARE.items()},
    **{name: Number(f"clean_{name}", *_PLAIN) for name in FLAGS},
    **{
        f"missing_{name}": Number(f"CAST(clean_{name} IS NULL AS DOUBLE)", *_PLAIN)
        for name in _GROUPS_THAT_GO_MISSING
    },
    **{
        f"option_{option.lower().replace(' ', '_').replace('/', '_')}": Number(
            f"CAST(contains(clean_option_list, '{option}') AS DOUBLE)", *_PLAIN
        )
        for option in OPTIONS
    },
    "age": Number(_AGE, 2.5, 4),
    "age_squared": Number(f"{_AGE} * {_AGE}", 25, 70),
    "horsepower": Number(_POWER, 250, 90),
    "log_horsepower": Number(f"ln({_POWER})", 5.5, 0.35),
    "log_mileage": Number("ln(1 + clean_mileage)", 8.5, 3),
    "mileage_a_year": Number(f"clean_mileage / greatest({_AGE}, 0.5D)", 9_000, 7_000),
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
    "trim": "clean_trim_name",  # or what Facts.trim says
    "wheel_system": "clean_wheel_system",
}

_BUILT_ALIKE = ", ".join(
    f"clean_{name}"
    for name in (
        "make_name", "model_name", "trim_name", "engine_type", "fuel_type", "transmission", "wheel_system",
        "engine_displacement", "city_fuel_economy", "combine_fuel_economy",
    )
)  # fmt: skip

# name -> SQL over the cleaned columns
VARIANTS: dict[str, str] = {
    "model": CATEGORIES["model"],
    "variant": f"nullif(concat_ws('|', {_BUILT_ALIKE}), '')",
    "variant_and_year": f"nullif(concat_ws('|', {_BUILT_ALIKE}, clean_year), '')",
}

NUMBER_COLUMNS: tuple[str, ...] = tuple(f"number_{name}" for name in NUMBERS)
CATEGORY_COLUMNS: tuple[str, ...] = tuple(f"category_{name}" for name in CATEGORIES)
INDEX_COLUMNS: tuple[str, ...] = tuple(f"index_{name}" for name in CATEGORIES)
VARIANT_COLUMNS: tuple[str, ...] = tuple(f"variant_{name}" for name in VARIANTS)
RANK_COLUMNS: tuple[str, ...] = tuple(f"rank_{name}" for name in VARIANTS)
TEXT_COLUMNS = (*CATEGORY_COLUMNS, *VARIANT_COLUMNS)

_NAME = re.compile(r"clean_(\w+)")
CLEAN_NAMES: tuple[str, ...] = tuple(
    sorted(
        {
            name
            for sql in (*(n.sql for n in NUMBERS.values()), *CATEGORIES.values(), *VARIANTS.values())
            for name in _NAME.findall(sql)
        }
        | {"vin_descriptor"}
    )
)

# Numbers beyond this many spreads are pulled in, so that no mileage of 1e11 upsets a plane.
_FARTHEST = 10.0


@dataclass(frozen=True)
class Kept:
    """Which labels of a column get an index: the ``at_most`` most frequent seen in ``at_least`` rows."""

    at_least: int
    at_most: int


def kept_labels(*, categories: Kept, models: Kept, variants: Kept) -> dict[str, Kept]:
    """Return the rule of each text column; ``models`` is for makes and models.

    A make or model of which there is one car says more of its price than anything else: without a label of
    its own a supercar costs what the average car does.
    """
    return (
        dict.fromkeys(CATEGORY_COLUMNS, categories)
        | {"category_make": models, "category_model": models}
        | dict.fromkeys(VARIANT_COLUMNS, variants)
    )


@dataclass(frozen=True)
class Labels:
    """What is fitted for the texts: by column, the labels that get an index of their own, in order."""

    labels: dict[str, tuple[str, ...]]

    @property
    def arities(self) -> list[int]:
        """How many indices each category has: its labels and one for all other values."""
        return [len(self.labels[column]) + 1 for column in CATEGORY_COLUMNS]

    def indexer(self) -> StringIndexerModel:
        """Return the stage that turns texts into indices; unseen and missing ones share the last.

        ``StringIndexerModel.from_arrays_of_labels`` pads all arrays with nulls to the longest one, which
        makes the "unseen" index of every category that of the longest; hence the arrays are made here.
        """
        arrays = string_arrays([self.labels[column] for column in TEXT_COLUMNS])
        java_model = jvm().org.apache.spark.ml.feature.StringIndexerModel(
            f"StringIndexer_{uuid4().hex[:12]}", arrays
        )
        indexer = cast("StringIndexerModel", StringIndexerModel._from_java(java_model))
        indexer.set(indexer.inputCols, list(TEXT_COLUMNS))
        indexer.set(indexer.outputCols, [*INDEX_COLUMNS, *RANK_COLUMNS])
        indexer.set(indexer.handleInvalid, "keep")
        return indexer


def cleaned(listings: DataFrame) -> DataFrame:
    """Clean ``listings``: what features are made of.

    Needs: the raw columns as text. Adds: every ``clean_<name>`` that a feature is made of.
    """
    return listings.selectExpr("*", *clean_columns(CLEAN_NAMES))


def label_counts(features: DataFrame, by: str, kept: Mapping[str, Kept]) -> Counter[tuple[int, str, str]]:
    """Count (part, column, label) in one job for all folds, of labels that enough rows have in all.

    Needs: the text columns of :func:`feature_columns`, and ``by`` (int), the part a row belongs to.
    """
    pairs = ", ".join(f"struct('{column}' AS name, {column} AS label)" for column in TEXT_COLUMNS)
    everywhere = F.sum("count").over(Window.partitionBy("name", "label"))
    enough = F.create_map(*(F.lit(part) for name, rule in kept.items() for part in (name, rule.at_least)))
    counts = (
        features.select(F.col(by).alias("part"), F.explode(F.expr(f"array({pairs})")).alias("pair"))
        .where(F.col("pair.label").isNotNull() & ~F.col("pair.label").contains(SEPARATOR))
        .groupBy("part", "pair.name", "pair.label")
        .count()
        .withColumn("everywhere", everywhere)
        .where(F.col("everywhere") >= enough[F.col("name")])
        .select("part", "name", "label", "count")
        .toArrow()
    )
    parts, names, labels, found = (column.to_pylist() for column in counts.columns)
    return Counter(dict(zip(zip(parts, names, labels, strict=True), found, strict=True)))


def fit_labels(counts: Mapping[tuple[str, str], int], kept: Mapping[str, Kept]) -> Labels:
    """Keep the frequent labels by their counts of (column, label), the most frequent first.

    ``kept`` has the rule of each text column; the labels that are not kept share one index.
    """
    labels: dict[str, list[str]] = {column: [] for column in kept}
    for (column, label), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if count >= kept[column].at_least and len(labels[column]) < kept[column].at_most:
            labels[column].append(label)
    return Labels({column: tuple(found) for column, found in labels.items()})


def feature_columns(facts: Facts) -> list[str]:
    """Return ``<sql> AS <column>`` for all that is made of the columns of :func:`cleaned`.

    ``facts`` are what stands in for what a listing leaves empty.
    """
    numbers = [f"{_scaled(number, facts.today)} AS number_{name}" for name, number in NUMBERS.items()]
    told = CATEGORIES | {"trim": facts.trim()}
    categories = [f"{sql} AS category_{name}" for name, sql in told.items()]
    return numbers + categories + [f"{sql} AS variant_{name}" for name, sql in VARIANTS.items()]


def statement(facts: Facts) -> str:
    """Return the SELECT of the model's first stage: raw text in; numbers, texts and ``unreadable`` added.

    It is two nested projections, so that nothing is read twice, and no join, no subquery and no function
    that could throw.
    """
    inner = ", ".join(("*", *clean_columns(CLEAN_NAMES)))
    dropped = ", ".join(f"clean_{name}" for name in CLEAN_NAMES)
    added = ", ".join((*feature_columns(facts), f"{unreadable()} AS {UNREADABLE}"))
    return f"SELECT * EXCEPT ({dropped}), {added} FROM (SELECT {inner} FROM __THIS__)"  # noqa: S608


def _scaled(number: Number, today: float) -> str:
    value = f"({number.sql.format(today=f'{today!r}D')} - {number.typical}D) / {number.spread}D"
    bounded = f"greatest({-_FARTHEST}D, least({_FARTHEST}D, coalesce({value}, 0D)))"
    return f"CAST(CAST({bounded} AS FLOAT) AS DOUBLE)"
