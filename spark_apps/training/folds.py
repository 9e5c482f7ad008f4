"""Feature vectors for every fold; a category's labels are fitted on the rows that the fold is trained on.

The day that stands in for a missing day of listing is that of all rows: a fact of the crawl, not of prices.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pyspark.sql import functions as F

from spark_apps.listings.features import (
    TEXT_COLUMNS,
    Kept,
    cleaned,
    feature_columns,
    fit_labels,
    label_counts,
    newest_listing,
)
from spark_apps.training.crossvalidation import Fold, Whole, in_order, in_parallel
from spark_apps.training.members import LOG_LABEL, STOPPING
from spark_apps.training.preparation import (
    INTERACTING,
    NUMBERS_VECTOR,
    PLANE_FEATURES,
    TREE_FEATURES,
    encode,
    numbers_stage,
    vector_stages,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_apps.training.preparation import Encoding
    from spark_apps.training.settings import TrainingSettings

_ROWS_A_PARTITION = 50_000
_WHOLE = -1
# ``row`` tells rows apart and is the same in every attempt: no car comes twice with the same price.
_ROW = ("row", "label", "fold", LOG_LABEL, STOPPING)


def prepare(train: DataFrame, rows: int, settings: TrainingSettings) -> tuple[list[Fold], Whole]:
    """Fit the labels for every fold and for the whole, and cache the vectors of each.

    Needs: the kept raw columns, ``label``, ``car`` and ``fold``. ``rows`` is how many there are.
    """
    clean = cleaned(train)
    today = newest_listing(clean)
    numbers = _cached_numbers(clean, today, max(1, rows // _ROWS_A_PARTITION))
    categories = Kept(settings.label_rows, settings.labels)
    variants = Kept(settings.variant_rows, settings.variants)
    counts = label_counts(numbers, "fold", min(categories.at_least, variants.at_least))
    prices = numbers.select("fold", "row", "label").toArrow()

    def fitted(left_out: int) -> tuple[Encoding, DataFrame]:
        seen: Counter[tuple[str, str]] = Counter()
        for (part, column, label), count in counts.items():
            if part != left_out:
                seen[column, label] += count
        labels = fit_labels(seen, categories=categories, variants=variants)
        encoding = encode(numbers.where(F.col("fold") != left_out), labels, LOG_LABEL)
        return encoding, _cached_vectors(numbers, encoding)

    wanted = [*range(settings.folds), _WHOLE]
    made = in_parallel(
        train.sparkSession, [partial(fitted, number) for number in wanted], settings.parallelism
    )
    folds = [
        Fold(
            number,
            train=vectors.where(F.col("fold") != number),
            held_out=vectors.where(F.col("fold") == number),
            encoding=encoding,
            real=in_order(prices.filter(pc.field("fold") == number), "label"),
        )
        for number, (encoding, vectors) in zip(wanted[:-1], made[:-1], strict=True)
    ]
    encoding, vectors = made[-1]
    return folds, Whole(vectors, today, encoding)


def _cached_numbers(clean: DataFrame, today: float, partitions: int) -> DataFrame:
    """Cache what no fold changes: the numbers as a vector, and the categories as text."""
    columns = {
        "row": F.xxhash64("car", "label"),
        LOG_LABEL: F.log("label"),
        STOPPING: F.pmod(F.xxhash64("car", F.lit("stopping")), F.lit(10)) == 0,
    }
    rows = clean.withColumns(columns).selectExpr(*_ROW, *feature_columns(today))
    # XGBoost's barrier stage takes no coalesce, and no other partitions than workers.
    numbers = numbers_stage().transform(rows.repartition(partitions))
    return _cut(numbers.select(*_ROW, NUMBERS_VECTOR, *INTERACTING, *TEXT_COLUMNS))


def _cached_vectors(numbers: DataFrame, encoding: Encoding) -> DataFrame:
    df = numbers
    for stage in vector_stages(encoding):
        df = stage.transform(df)
    return _cut(df.select(*_ROW, TREE_FEATURES, PLANE_FEATURES))


def _cut(df: DataFrame) -> DataFrame:
    """Cache ``df`` and cut what led to it off.

    A fit is dozens of small jobs, and each sends its tasks the whole lineage: with it, cross-validation took
    43 s where it takes 33 (2,000 rows, two cores).
    """
    return df.localCheckpoint(eager=True)
