"""Feature vectors for every fold, with everything fitted on the rows that the fold is trained on."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from pyspark.sql import functions as F

from spark_apps.listings.features import (
    Labels,
    Scaling,
    cleaned,
    feature_columns,
    fit_labels,
    fit_scaling,
    label_counts,
    number_sample,
)
from spark_apps.training.crossvalidation import Fold, Whole, in_parallel
from spark_apps.training.members import LOG_LABEL, STOPPING
from spark_apps.training.preparation import PLANE_FEATURES, TREE_FEATURES, vector_stages

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_apps.training.settings import TrainingSettings

_ROWS_A_PARTITION = 50_000
_WHOLE = -1
_ROW = ("label", "fold", LOG_LABEL, STOPPING)


def prepare(train: DataFrame, rows: int, settings: TrainingSettings) -> tuple[list[Fold], Whole]:
    """Fit scales and labels for every fold and for the whole, and cache the vectors of each.

    Needs: the kept raw columns, ``label``, ``car`` and ``fold``. ``rows`` is how many there are.
    """
    clean = _cached_clean(train, max(1, rows // _ROWS_A_PARTITION))
    sample = number_sample(clean, "fold", rows)
    counts = label_counts(clean, "fold")

    def fitted(left_out: int) -> tuple[Scaling, Labels, DataFrame]:
        scaling = fit_scaling(sample.filter(pc.field("fold") != left_out))
        seen: Counter[tuple[str, str]] = Counter()
        for (part, name, label), count in counts.items():
            if part != left_out:
                seen[name, label] += count
        labels = fit_labels(seen, at_least=settings.label_rows, at_most=settings.labels)
        return scaling, labels, _cached_vectors(clean, scaling, labels)

    wanted = [*range(settings.folds), _WHOLE]
    made = in_parallel(
        train.sparkSession, [partial(fitted, number) for number in wanted], settings.parallelism
    )
    folds = [
        Fold(number, vectors.where(F.col("fold") != number), vectors.where(F.col("fold") == number), labels)
        for number, (_, labels, vectors) in zip(wanted[:-1], made[:-1], strict=True)
    ]
    scaling, labels, vectors = made[-1]
    return folds, Whole(vectors, scaling, labels)


def _cached_clean(train: DataFrame, partitions: int) -> DataFrame:
    columns = {
        LOG_LABEL: F.log("label"),
        STOPPING: F.pmod(F.xxhash64("car", F.lit("stopping")), F.lit(10)) == 0,
    }
    clean = cleaned(train).withColumns(columns)
    kept = [column for column in clean.columns if column.startswith("clean_")]
    # XGBoost's barrier stage takes neither coalesce nor other partitions than workers.
    return clean.select(*_ROW, *kept).repartition(partitions).persist()


def _cached_vectors(clean: DataFrame, scaling: Scaling, labels: Labels) -> DataFrame:
    df = clean.selectExpr(*_ROW, *feature_columns(scaling))
    for stage in vector_stages(labels):
        df = stage.transform(df)
    vectors = df.select(*_ROW, TREE_FEATURES, PLANE_FEATURES).persist()
    vectors.count()
    return vectors
