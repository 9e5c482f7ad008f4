"""``python -m tests.benchmarks.training.features --batch <id> --to <folder>``: the folds as files.

What the project's own preparation gives to its boosting, taken out of Spark for those that know no Spark.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from control_plane import logs
from control_plane.settings import Servers, load
from spark_apps.session import end_session, spark_session
from spark_apps.training.folds import prepare
from spark_apps.training.members import LOG_LABEL, STOPPING, XGBoostMember, members, row_weight
from spark_apps.training.preparation import FEATURES, TREE_FEATURES
from spark_apps.training.rows import TRAIN as TRAIN_PART
from spark_apps.training.rows import judged_batch, training_rows
from spark_apps.training.settings import TrainingSettings
from tests.benchmarks.training.plan import HELD_OUT, TRAIN, BoostingSetting, Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_apps.training.crossvalidation import Fold

_PATIENCE = 50  # as XGBoost.fit has it


def main() -> None:
    """Write the folds of a batch in HDFS to a folder of this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", required=True)
    parser.add_argument("--to", required=True, type=Path)
    arguments = parser.parse_args()
    logs.configure()
    settings, servers = load(TrainingSettings), load(Servers)
    conf = {"spark.sql.shuffle.partitions": str(settings.cores), "spark.sql.adaptive.enabled": "false"}
    spark = spark_session("bench-features", cores=settings.cores, memory=settings.memory, conf=conf)
    records = judged_batch(spark, servers, settings, arguments.batch)
    train = training_rows(records, None, settings, arguments.batch).where(F.col("part") == TRAIN_PART)
    folds = prepare(train, train.count(), settings).folds
    arguments.to.mkdir(parents=True)
    for fold in folds:
        _write(fold, arguments.to / f"fold-{fold.number}")
        fold.release()
    plan(settings).write(arguments.to)
    end_session(spark)


def _write(fold: Fold, folder: Path) -> None:
    for name, rows in ((TRAIN, fold.train), (HELD_OUT, fold.held_out)):
        _columns(rows).write.parquet((folder / name).as_uri())


def _columns(rows: DataFrame) -> DataFrame:
    return rows.select(
        F.col("label").alias("price"),
        F.col(LOG_LABEL).alias("log_price"),
        row_weight().alias("weight"),
        F.col(STOPPING).alias("stopping"),
        F.slice(vector_to_array(F.col(FEATURES), "float32"), 1, len(TREE_FEATURES)).alias("features"),
    )


def plan(settings: TrainingSettings) -> Plan:
    """Return what our boosting does, in words for others."""
    xgboost = members(settings.model_copy(update={"boosting": "xgboost"}), partitions=1)[0]
    assert isinstance(xgboost, XGBoostMember)
    return Plan(tuple(_setting(xgboost, point) for point in xgboost.grid), settings.folds)


def _setting(member: XGBoostMember, point: dict[str, float]) -> BoostingSetting:
    told = member.settings(point)
    return BoostingSetting(
        rounds=told.rounds,
        depth=told.depth,
        leaves=told.leaves,
        learning_rate=told.learning_rate,
        min_child_weight=told.min_child_weight,
        subsample=told.subsample,
        columns_a_tree=told.columns_a_tree,
        l2=told.l2,
        patience=_PATIENCE,
        seed=told.seed,
    )


if __name__ == "__main__":
    main()
