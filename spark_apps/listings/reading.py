"""Reading a batch: every record of its CSV parts comes out, those that do not parse with their raw text.

The files have fields with commas, doubled quotes and line breaks in them. Spark's default options shift the
columns of a third of the rows of such a file; the ones here do not.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import requests
from hdfs import HdfsError, InsecureClient
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_apps.listings.schema import BATCH_COLUMNS, text_schema, with_raw_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

MALFORMED = "malformed_record"

_HEADER_BYTES = 64 * 1024
_TIMEOUT_S = 30.0
_CSV_OPTIONS = {
    "header": "true",
    "multiLine": "true",
    "quote": '"',
    "escape": '"',
    "encoding": "UTF-8",
    "mode": "PERMISSIVE",
    # A record with more fields than this fails its whole file rather than itself; Spark's 20,480 are too few.
    "maxColumns": "1000000",
    "columnNameOfCorruptRecord": MALFORMED,
    # A record is only known to be malformed when all of it is parsed, whatever columns are asked for.
    "columnPruning": "false",
}


class BatchError(ValueError):
    """A batch that cannot be trained on; the message is one sentence for the people who sent it."""


class StorageUnavailableError(RuntimeError):
    """HDFS did not answer, or refused; the message names its address and the reason."""


@dataclass(frozen=True)
class Part:
    """One CSV file of a batch: its path in HDFS, its header and its size."""

    path: str
    header: tuple[str, ...]
    bytes: int


def batch_parts(hdfs_url: str, batch: str) -> list[Part]:
    """Return the parts of ``batch`` that hold anything, after a look at their headers.

    Raises: BatchError when there is no such batch, nothing in it, or a header that is not of listings.
    """
    client = InsecureClient(hdfs_url, timeout=_TIMEOUT_S)
    folder = f"/batches/{batch}"
    try:
        if client.status(folder, strict=False) is None:
            raise BatchError(f"batch {batch} is not in HDFS: there is no folder {folder}")
        names = [
            name for name in sorted(client.list(folder)) if name[0] not in "._" and name.endswith(".csv")
        ]
        parts = [_part(client, f"{folder}/{name}") for name in names]
    except (HdfsError, requests.RequestException) as error:
        raise StorageUnavailableError(f"HDFS at {hdfs_url} did not answer: {_first_line(error)}") from error
    checked = [part for part in parts if part.bytes]
    if not checked:
        raise BatchError(f"batch {batch} is empty: {len(names)} CSV files without a byte in {folder}")
    for part in checked:
        _check_header(batch, part)
    return checked


def _part(client: Any, path: str) -> Part:
    with client.read(path, length=_HEADER_BYTES) as reader:
        beginning = reader.read().decode("utf-8-sig", errors="replace")
    header = tuple(next(csv.reader(io.StringIO(beginning)), []))
    return Part(path, header, client.status(path)["length"])


def _check_header(batch: str, part: Part) -> None:
    missing = [column for column in BATCH_COLUMNS if column not in part.header]
    if missing:
        raise BatchError(
            f"batch {batch} is of another schema: {part.path} lacks {', '.join(missing)} in its header"
        )
    if len({column.lower() for column in part.header}) < len(part.header):
        raise BatchError(
            f"batch {batch} is of another schema: {part.path} names a column twice in its header"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def read_parts(spark: SparkSession, root: str, parts: Sequence[Part]) -> DataFrame:
    """Read ``parts`` under ``root`` (such as ``webhdfs://host:port``); order and number of columns may vary.

    Adds: the raw columns as text, in order, and ``malformed_record``: the raw text of a record that has not
    as many fields as its header (null where it has). Columns that are not raw ones are left out.
    """
    headers = dict.fromkeys(part.header for part in parts)
    frames = [
        read_records(spark, [f"{root}{part.path}" for part in parts if part.header == header], header)
        for header in headers
    ]
    return reduce(DataFrame.unionByName, frames)


def read_records(spark: SparkSession, paths: Sequence[str], header: Sequence[str]) -> DataFrame:
    """Read the CSV files at ``paths``, all of which have ``header``; columns as :func:`read_parts` says."""
    schema = text_schema(header).add(MALFORMED, StringType())
    records = spark.read.options(**_CSV_OPTIONS).schema(schema).csv(list(paths))
    known = with_raw_columns(records)
    return known.select(*text_schema().names, F.col(MALFORMED))
