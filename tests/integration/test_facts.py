"""What all listings say of themselves, and how it stands in for what one leaves empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.feature import SQLTransformer

from spark_apps.listings.facts import Facts, facts_of
from spark_apps.listings.features import cleaned, statement
from spark_apps.listings.schema import with_raw_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "vin string, trim_name string, listed_date string"


def listings(spark: SparkSession, trims: dict[str, list[str | None]]) -> DataFrame:
    """Listings by the descriptor of their VIN, one for each trim."""
    rows = [
        (f"{descriptor}{number:011d}", trim, "2020-07-01")
        for descriptor, named in trims.items()
        for number, trim in enumerate(named)
    ]
    return with_raw_columns(spark.createDataFrame(rows, SCHEMA))


def test_a_vin_tells_the_trim_that_nine_of_ten_of_its_kind_have(spark: SparkSession) -> None:
    found = facts_of(
        cleaned(
            listings(
                spark,
                {
                    "1HGFC1": ["LX FWD", "LX FWD", "lx fwd ", None],
                    "1HGFC2": [*["EX-L"] * 9, "Sport"],
                    "1HGFC3": ["EX", "EX", "Touring"],
                    "1HGFC4": ["EX", "EX"],
                    "1HGFC5": ["Driver's Edition"] * 3,
                    "1HGFC6": [None, "--", ""],
                },
            )
        )
    )

    assert dict(found.trims) == {"1hgfc1": "lx fwd", "1hgfc2": "ex-l"}
    assert found.today == 1970 + 18_444 / 365.2425


def test_a_trim_that_is_named_is_taken_and_another_is_what_the_vin_tells(spark: SparkSession) -> None:
    told = {"1hgfc1": "lx fwd", "1hgfc2": "ex, l (2.0)"}
    asked = listings(
        spark, {"1HGFC1": [None, "EX"], "1HGFC2": ["--"], "1HGFC9": [None, "Sport"], "1HGF": [None]}
    )

    for facts, by_vin in ((Facts(2020.7, told), told), (Facts(2020.7), {})):
        priced = SQLTransformer(statement=statement(facts)).transform(asked)
        trims = [row[0] for row in priced.select("category_trim").collect()]
        assert trims == [by_vin.get("1hgfc1"), "ex", by_vin.get("1hgfc2"), None, "sport", None]
