"""What the tests of training share."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="session")
def usable_rows(spark: SparkSession) -> Callable[[Path], DataFrame]:
    """Read a CSV file as a training does: one listing a car, the kept raw columns, ``label`` and ``car``."""
    from spark_apps.listings.quality import KEPT_COLUMNS, judged  # noqa: PLC0415
    from spark_apps.listings.reading import read_records  # noqa: PLC0415
    from spark_apps.training.train_sets import with_earlier  # noqa: PLC0415

    def read(path: Path) -> DataFrame:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
            header = next(csv.reader(file))
        records = judged(read_records(spark, [str(path)], header), price_min=500, price_max=250_000)
        return with_earlier(records.where("verdict IS NULL").select(*KEPT_COLUMNS, "label"), None, "batch")

    return read
