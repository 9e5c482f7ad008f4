"""From a batch's records to the rows of a training: judged, counted, quarantined, joined, split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from pyspark.sql import functions as F

from spark_apps.listings.quality import (
    KEPT_COLUMNS,
    QUARANTINED,
    SAME_CAR_AGAIN,
    judged,
)
from spark_apps.listings.reading import BatchError, batch_parts, read_parts
from spark_apps.training import train_sets

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from control_plane.settings import Servers
    from spark_apps.listings.profile import Profile
    from spark_apps.training.settings import TrainingSettings

log = structlog.get_logger()

TEST, TRAIN = "test", "train"
OLDER = "older_than_there_is_room_for"
_BUCKETS = 10_000


def judged_batch(spark: SparkSession, servers: Servers, settings: TrainingSettings, batch: str) -> DataFrame:
    """Read a batch and judge its records; the frame is cached, for the files are read once."""
    parts = batch_parts(servers.hdfs_url, batch)
    log.info("training.batch_found", batch=batch, files=len(parts), bytes=sum(part.bytes for part in parts))
    records = read_parts(spark, servers.hdfs_root, parts)
    return judged(records, price_min=settings.price_min, price_max=settings.price_max).persist()


def account(profile: Profile) -> dict[str, int]:
    """Count a batch's rows by what became of them; the names are those of the metrics."""
    counts = {"rows.read": profile.rows, "rows.usable": profile.usable}
    for name, count in sorted(profile.unusable.items()):
        kind = "quarantined" if name in QUARANTINED else "dropped"
        counts[f"rows.{kind}.{name}"] = count
    counts["rows.quarantined"] = sum(profile.unusable.get(name, 0) for name in QUARANTINED)
    return counts


def quarantine(records: DataFrame, servers: Servers, batch: str) -> None:
    """Keep what was quarantined, with the reason and the raw record, as JSON lines in HDFS.

    An earlier attempt's files are replaced.
    """
    kept = records.where(F.col("record").isNotNull())
    kept.select(F.col("verdict").alias("reason"), "record").coalesce(1).write.mode("overwrite").json(
        f"{servers.hdfs_root}/quarantine/{batch}"
    )


def training_rows(
    records: DataFrame, earlier: DataFrame | None, settings: TrainingSettings, batch: str
) -> DataFrame:
    """Join the usable records with an earlier train set and split them by car; the frame is cached.

    Returns: the kept raw columns, ``label``, ``car``, ``batch``, ``arrival``, ``part`` (train or test) and
    ``fold`` (int, of the train part). A car stays in its part in every training.
    """
    usable = records.where(F.col("verdict").isNull()).select(*KEPT_COLUMNS, "label")
    rows = train_sets.with_earlier(usable, earlier, batch)
    bucket = F.pmod(F.xxhash64("car"), F.lit(_BUCKETS))
    is_test = bucket < int(settings.test_share * _BUCKETS)
    return rows.withColumns(
        {
            "part": F.when(is_test, TEST).otherwise(TRAIN),
            "fold": F.pmod(F.xxhash64("car", F.lit("fold")), F.lit(settings.folds)).cast("int"),
        }
    ).localCheckpoint()


def row_counts(
    rows: DataFrame, usable: int, earlier: DataFrame | None, older: int, settings: TrainingSettings
) -> dict[str, int]:
    """Count the rows of a training by part, and those that gave way to another listing of the same car.

    ``older`` is how many were left out for their age. Raises: BatchError when there are too few to train on,
    or none is new.
    """
    parts = {row["part"]: row["count"] for row in rows.groupBy("part").count().collect()}
    total = sum(parts.values())
    if not usable:
        raise BatchError("there is no usable listing in the batch")
    before = earlier.count() if earlier is not None else 0
    if total < settings.rows_at_least or len(parts) < 2:  # noqa: PLR2004  # train and test
        raise BatchError(
            f"{total} usable listings are too few to train on: there must be {settings.rows_at_least}, "
            f"of cars enough for a train and a test part"
        )
    return {
        "rows.earlier": before,
        f"rows.dropped.{SAME_CAR_AGAIN}": usable + before - older - total,
        f"rows.dropped.{OLDER}": older,
        "rows.train": parts[TRAIN],
        "rows.test": parts[TEST],
    }
