"""Which rows are trained on, and why the others are not.

A record that cannot be understood as a priced listing is quarantined: kept with its reason. A listing that
is understood and not used is dropped by a rule that has a name and is counted.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_apps.listings.cleaning import CLEAN, MISSING, USED_COLUMNS
from spark_apps.listings.reading import MALFORMED

# What is kept of a listing: what features are made of, and what says which car it is.
KEPT_COLUMNS: tuple[str, ...] = tuple(sorted({*USED_COLUMNS, "listing_id", "listed_date", "price"}))

# reason -> SQL; the first that holds is the reason
_UNPARSABLE: dict[str, str] = {
    "malformed_record": f"{MALFORMED} IS NOT NULL",
    "price_missing": f"price IS NULL OR trim(price) IN {MISSING}",
    "price_unreadable": "clean_price IS NULL",
}
QUARANTINED: tuple[str, ...] = tuple(_UNPARSABLE)
SAME_CAR_AGAIN = "same_car_again"

# Two cars without a VIN are the same when everything that prices them is.
_ATTRIBUTES = tuple(
    column for column in USED_COLUMNS if column not in {"price", "listed_date", "daysonmarket", "vin"}
)


def _drop_rules(price_min: float, price_max: float) -> dict[str, str]:
    return {
        "no_make_or_model": "clean_make_name IS NULL OR clean_model_name IS NULL",
        # Next year's models are sold this year, and nothing is listed before it is built.
        "year_out_of_range": (
            "clean_year IS NULL OR clean_year < 1900 OR clean_year > coalesce(clean_listed, 2100D) + 2"
        ),
        "price_out_of_range": f"clean_price NOT BETWEEN {price_min!r}D AND {price_max!r}D",
    }


def judged(records: DataFrame, *, price_min: float, price_max: float) -> DataFrame:
    """Say of every record why it is not used.

    Needs: the raw columns as text and ``malformed_record``. Returns: the kept raw columns, ``label`` (the
    price in dollars), ``verdict`` (null where the row is used) and ``record`` (the raw record, or its
    columns as JSON, of a quarantined row; null for others).
    """
    rules = _UNPARSABLE | _drop_rules(price_min, price_max)
    cases = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in rules.items())
    names = ("price", "make_name", "model_name", "year", "listed")
    return (
        records.selectExpr("*", *(f"{CLEAN[name]} AS clean_{name}" for name in names))
        .withColumn("verdict", F.expr(f"CASE {cases} END"))
        .select(
            *KEPT_COLUMNS,
            F.col("clean_price").alias("label"),
            "verdict",
            F.when(
                F.col("verdict").isin(*QUARANTINED),
                F.coalesce(F.col(MALFORMED), F.to_json(F.struct(*records.drop(MALFORMED).columns))),
            ).alias("record"),
        )
    )


def with_car(listings: DataFrame) -> DataFrame:
    """Say which car a listing is of: its VIN, or all its attributes where it has none.

    Needs: the kept raw columns. Adds: ``car`` (string).
    """
    attributes = F.md5(F.concat_ws("\x1f", *(F.coalesce(F.col(name), F.lit("")) for name in _ATTRIBUTES)))
    return listings.withColumn("car", F.coalesce(_vin(), attributes))


def newest_of_each_car(listings: DataFrame, order: str) -> DataFrame:
    """Keep one listing of each car: of the highest ``order``, then the one listed last.

    Needs: ``car``, the kept raw columns, ``label`` and ``order``. Listings without a VIN are of the same car
    only when their price is the same too: like cars at other prices are other cars.
    """
    same = Window.partitionBy("car", F.when(_vin().isNull(), F.col("label"))).orderBy(
        F.desc(order), F.desc_nulls_last("listed_date"), F.desc_nulls_last("listing_id"), "label"
    )
    return listings.withColumn("_rank", F.row_number().over(same)).where("_rank = 1").drop("_rank")


def _vin() -> Column:
    return F.expr(f"CASE WHEN trim(vin) IN {MISSING} THEN NULL ELSE upper(trim(vin)) END")
