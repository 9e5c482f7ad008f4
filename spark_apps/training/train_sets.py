"""Train sets in HDFS: what a model was trained on, for the next training to go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests
from hdfs import HdfsError, InsecureClient
from pyspark.sql import functions as F

from spark_apps.listings.quality import KEPT_COLUMNS, newest_of_each_car, with_car
from spark_apps.listings.reading import StorageUnavailableError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from control_plane.settings import Servers

_SHARES = 1_000_000

COLUMNS: tuple[str, ...] = (*KEPT_COLUMNS, "label", "car", "batch", "arrival")


def path(run_id: str) -> str:
    """Return the folder of a run's train set in HDFS."""
    return f"/train-sets/{run_id}"


def earlier(spark: SparkSession, servers: Servers, run_id: str | None, batch: str) -> DataFrame | None:
    """Return the train set of ``run_id`` without the rows of ``batch``, or None when there is none.

    A batch that is trained on again replaces its own rows.
    """
    if run_id is None:
        return None
    try:
        client = InsecureClient(servers.hdfs_url, timeout=30)
        if client.status(f"{path(run_id)}/_SUCCESS", strict=False) is None:
            return None
    except (HdfsError, requests.RequestException) as error:
        raise StorageUnavailableError(f"HDFS at {servers.hdfs_url} did not answer: {error}") from error
    rows = spark.read.parquet(f"{servers.hdfs_root}{path(run_id)}").select(*COLUMNS)
    return rows.where(F.col("batch") != batch)


def with_earlier(usable: DataFrame, before: DataFrame | None, batch: str) -> DataFrame:
    """Join a batch's usable rows with those of the train set before it; the newest of each car stays.

    Needs: the kept raw columns and ``label``. Adds: ``car``, ``batch`` and ``arrival`` (the number of the
    batch in the train set, from 0).
    """
    if before is None:
        new = with_car(usable).withColumns({"batch": F.lit(batch), "arrival": F.lit(0)})
        return newest_of_each_car(new.select(*COLUMNS), "arrival")
    last = before.agg(F.max("arrival")).first()
    arrival = (last[0] if last and last[0] is not None else -1) + 1
    new = with_car(usable).withColumns({"batch": F.lit(batch), "arrival": F.lit(arrival)})
    return newest_of_each_car(before.unionByName(new.select(*COLUMNS)), "arrival")


def newest(rows: DataFrame, at_most: int) -> tuple[DataFrame, int]:
    """Keep about ``at_most`` rows: the batches that arrived last, of the oldest of them some cars.

    Needs: ``car`` and ``arrival``. Returns the rows and how many were left out.
    """
    counts = {row["arrival"]: row["count"] for row in rows.groupBy("arrival").count().collect()}
    room = at_most
    for arrival in sorted(counts, reverse=True):
        if counts[arrival] > room:
            share = (
                F.pmod(F.xxhash64("car", F.lit("kept")), F.lit(_SHARES)) < room * _SHARES // counts[arrival]
            )
            newer = F.col("arrival") > arrival
            kept = rows.where(newer | ((F.col("arrival") == arrival) & share)).localCheckpoint()
            return kept, sum(counts.values()) - kept.count()
        room -= counts[arrival]
    return rows, 0


def export(rows: DataFrame, servers: Servers, run_id: str) -> None:
    """Write ``rows`` as the train set of ``run_id``; an earlier try's files are replaced."""
    rows.select(*COLUMNS, "part").write.mode("overwrite").parquet(f"{servers.hdfs_root}{path(run_id)}")


def content_digest(rows: DataFrame) -> str:
    """Return a digest of what the rows hold, whatever their order: 16 hex digits."""
    found = rows.agg(F.bit_xor(F.xxhash64(*COLUMNS))).first()
    return f"{(found[0] if found and found[0] is not None else 0) & (1 << 64) - 1:016x}"


def batches(rows: DataFrame) -> list[str]:
    """Return the batches that ``rows`` come from, in the order of their arrival."""
    found = rows.select("batch", "arrival").distinct().collect()
    return [row["batch"] for row in sorted(found, key=lambda row: row["arrival"])]
