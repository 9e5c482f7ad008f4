"""A batch's profile, on real Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_apps.listings.features import CATEGORIES
from spark_apps.listings.profile import LEVELS, Profile, profile
from spark_apps.listings.quality import judged
from spark_apps.listings.reading import MALFORMED
from spark_apps.listings.schema import with_raw_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CAR = {"make_name": "Honda", "model_name": "Civic", "year": "2017", "price": "15000"}


def profiled(spark: SparkSession, *listings: dict[str, str | None]) -> Profile:
    columns = sorted({name for listing in listings for name in listing} | {MALFORMED, *CAR})
    rows = [tuple((CAR | listing).get(column) for column in columns) for listing in listings]
    schema = ", ".join(f"{column} string" for column in columns)
    return profile_of(with_raw_columns(spark.createDataFrame(rows, schema)))


def profile_of(records: DataFrame) -> Profile:
    return profile(judged(records, price_min=500, price_max=250_000), "b1")


def test_rows_are_counted_by_what_became_of_them(spark: SparkSession) -> None:
    found = profiled(
        spark,
        {},
        {"price": None},
        {"price": "--"},
        {"price": "12"},
        {"model_name": ""},
        {MALFORMED: "a,b"},
    )

    assert (found.batch, found.rows, found.usable) == ("b1", 6, 1)
    assert found.unusable == {
        "price_missing": 2,
        "malformed_record": 1,
        "no_make_or_model": 1,
        "price_out_of_range": 1,
    }


def test_what_is_missing_or_unreadable_is_so_among_the_usable_rows(spark: SparkSession) -> None:
    found = profiled(
        spark,
        {"mileage": "10", "fleet": "True", "trim_name": "LX", "length": "180 in"},
        {"mileage": "--", "fleet": "False", "trim_name": "None", "length": "long"},
        {"mileage": "30", "fleet": "", "trim_name": "lx ", "length": "200 in"},
        {"mileage": None, "fleet": "False"},
        {"mileage": "40", "price": None},
    )

    assert found.missing["mileage"] == 0.5
    assert found.missing["length"] == 0.5
    assert found.missing["fleet"] == 0.25
    assert found.missing["trim"] == 0.5
    assert found.missing["make"] == found.missing["price"] == 0
    assert found.missing["bed_length"] == found.missing["cabin"] == found.missing["isCab"] == 1
    assert found.categories["fleet"].labels == {"false": 2, "true": 1}
    assert found.categories["trim"].labels == {"lx": 2}
    assert found.categories["model"].labels == {"honda civic": 4}


def test_quantiles_are_of_the_values_in_their_unit(spark: SparkSession) -> None:
    found = profiled(
        spark,
        *({"mileage": str(mileage), "power": f"{mileage} hp @ 5,750 RPM"} for mileage in range(101)),
    )

    for level in (0, 0.01, 0.25, 0.5, 0.9, 0.99, 1):
        assert found.quantile("mileage", level) == pytest.approx(100 * level, abs=1)
    assert found.medians["power_hp"] == pytest.approx(50, abs=1)
    assert found.medians["power_rpm"] == 5_750
    assert found.medians["price"] == 15_000
    assert "bed_length" not in found.medians
    assert len(found.numbers["mileage"].quantiles) == len(LEVELS)


def test_every_value_of_a_category_with_thousands_is_counted(spark: SparkSession) -> None:
    cars = with_raw_columns(
        spark.range(20_000).select(
            F.lit("honda").alias("make_name"),
            F.concat(F.lit("m"), F.col("id") % 4_000).alias("model_name"),
            F.concat(F.lit("t"), F.col("id")).alias("trim_name"),
            F.lit("2017").alias("year"),
            F.lit("9000").alias("price"),
            F.lit(None).cast("string").alias(MALFORMED),
        )
    )

    found = profile_of(cars)

    assert found.categories["model"].complete
    assert set(found.categories["model"].labels.values()) == {5}
    assert len(found.categories["model"].labels) == 4_000
    assert not found.categories["trim"].complete
    assert len(found.categories["trim"].labels) <= 10_000


def test_a_value_may_be_any_text(spark: SparkSession) -> None:
    found = profiled(spark, {"make_name": "é" * 5_000}, {"make_name": "x\n\x1f\"'"})

    assert set(found.categories["make"].labels) == {"é" * 60, "x\n\x1f\"'"}
    assert Profile.model_validate_json(found.model_dump_json()) == found


def test_a_batch_without_a_row_or_a_usable_one_has_a_profile_as_well(spark: SparkSession) -> None:
    useless = profiled(spark, {"price": None})
    nothing = profile_of(with_raw_columns(spark.createDataFrame([], f"{MALFORMED} string")))

    assert (useless.rows, useless.usable, useless.missing, useless.medians) == (1, 0, {}, {})
    assert (nothing.rows, nothing.unusable, nothing.missing) == (0, {}, {})
    assert set(nothing.categories) >= set(CATEGORIES)
