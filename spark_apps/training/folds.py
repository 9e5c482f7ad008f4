"""Feature vectors for every fold; a category's labels are fitted on the rows that the fold is trained on.

What stands in for a missing day of listing or trim is found on all rows: facts that prices have no part in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pyspark.sql import functions as F

from spark_apps.listings.facts import facts_of
from spark_apps.listings.features import (
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    Kept,
    cleaned,
    feature_columns,
    fit_labels,
    kept_labels,
    label_counts,
)
from spark_apps.training.crossvalidation import Fold, Vectors, in_order
from spark_apps.training.members import LOG_LABEL, STOPPING, PriceRange
from spark_apps.training.preparation import FEATURES, encode, vector_stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from spark_apps.listings.facts import Facts
    from spark_apps.training.preparation import Encoding
    from spark_apps.training.settings import TrainingSettings

_ROWS_A_PARTITION = 50_000
_WHOLE = -1
# ``row`` tells rows apart and is the same in every attempt: no car comes twice with the same price.
_ROW = ("row", "label", "fold", LOG_LABEL, STOPPING)


@dataclass(frozen=True)
class Prepared:
    """What a training fits on: the folds, and ``whole()`` that makes the vectors of all rows.

    ``facts`` stand in for what listings leave empty; ``partitions`` is in how many the rows lie; ``within``
    are the least and the highest price.
    """

    folds: tuple[Fold, ...]
    whole: Callable[[], Vectors]
    facts: Facts
    partitions: int
    within: PriceRange


def prepare(train: DataFrame, rows: int, settings: TrainingSettings) -> Prepared:
    """Cache what all folds have in common, and count the labels of each.

    Needs: the kept raw columns, ``label``, ``car`` and ``fold``. ``rows`` is how many there are.
    """
    clean = cleaned(train)
    facts = facts_of(clean)
    partitions = max(1, rows // _ROWS_A_PARTITION)
    numbers = _cached_numbers(clean, facts, partitions)
    kept = kept_labels(
        categories=Kept(settings.label_rows, settings.labels),
        models=Kept(settings.model_rows, settings.models),
        variants=Kept(settings.variant_rows, settings.variants),
    )
    counts = label_counts(numbers, "fold", kept)
    prices = numbers.select("fold", "row", "label").toArrow()
    extremes = pc.min_max(prices.column("label")).as_py()
    within = extremes["min"], extremes["max"]

    def vectors(left_out: int) -> Vectors:
        seen: Counter[tuple[str, str]] = Counter()
        for (part, column, label), count in counts.items():
            if part != left_out:
                seen[column, label] += count
        labels = fit_labels(seen, kept)
        encoding = encode(numbers.where(F.col("fold") != left_out), labels, LOG_LABEL)
        return Vectors(_cached_vectors(numbers, encoding), encoding)

    folds = (
        Fold(
            number,
            in_order(prices.filter(pc.field("fold") == number), "label"),
            within,
            partial(vectors, number),
        )
        for number in range(settings.folds)
    )
    return Prepared(tuple(folds), partial(vectors, _WHOLE), facts, partitions, within)


def _cached_numbers(clean: DataFrame, facts: Facts, partitions: int) -> DataFrame:
    """Cache what no fold changes: the numbers, and the categories as text."""
    columns = {
        "row": F.xxhash64("car", "label"),
        LOG_LABEL: F.log("label"),
        STOPPING: F.pmod(F.xxhash64("car", F.lit("stopping")), F.lit(10)) == 0,
    }
    rows = clean.withColumns(columns).selectExpr(*_ROW, *feature_columns(facts))
    # XGBoost's barrier stage takes no coalesce, and no other partitions than workers.
    return _cut(rows.repartition(partitions).select(*_ROW, *NUMBER_COLUMNS, *TEXT_COLUMNS))


def _cached_vectors(numbers: DataFrame, encoding: Encoding) -> DataFrame:
    df = numbers
    for stage in vector_stages(encoding):
        df = stage.transform(df)
    return _cut(df.select(*_ROW, FEATURES))


def _cut(df: DataFrame) -> DataFrame:
    """Cache ``df`` and cut what led to it off.

    A fit is dozens of small jobs, and each sends its tasks the whole lineage: with it, cross-validation took
    43 s where it takes 33 (2,000 rows, two cores).
    """
    return df.localCheckpoint(eager=True)
