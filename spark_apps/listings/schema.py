"""The 66 raw columns of a listing, all of them text, in the order of the dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

RAW_COLUMNS: tuple[str, ...] = (
    "vin", "back_legroom", "bed", "bed_height", "bed_length", "body_type", "cabin", "city",
    "city_fuel_economy", "combine_fuel_economy", "daysonmarket", "dealer_zip", "description",
    "engine_cylinders", "engine_displacement", "engine_type", "exterior_color", "fleet", "frame_damaged",
    "franchise_dealer", "franchise_make", "front_legroom", "fuel_tank_volume", "fuel_type", "has_accidents",
    "height", "highway_fuel_economy", "horsepower", "interior_color", "isCab", "is_certified", "is_cpo",
    "is_new", "is_oemcpo", "latitude", "length", "listed_date", "listing_color", "listing_id", "longitude",
    "main_picture_url", "major_options", "make_name", "maximum_seating", "mileage", "model_name",
    "owner_count", "power", "price", "salvage", "savings_amount", "seller_rating", "sp_id", "sp_name",
    "theft_title", "torque", "transmission", "transmission_display", "trimId", "trim_name",
    "vehicle_damage_category", "wheel_system", "wheel_system_display", "wheelbase", "width", "year",
)  # fmt: skip

# Without these there is nothing to price; a batch needs the price besides.
REQUIRED_COLUMNS: tuple[str, ...] = ("make_name", "model_name", "year")
BATCH_COLUMNS: tuple[str, ...] = (*REQUIRED_COLUMNS, "price")


def text_schema(columns: Iterable[str] = RAW_COLUMNS) -> StructType:
    """Return the schema of ``columns`` as text; every value may be missing."""
    return StructType([StructField(column, StringType()) for column in columns])


def with_raw_columns(df: DataFrame) -> DataFrame:
    """Give ``df`` every raw column, as text: one that is missing becomes null, one that is there is cast.

    Needs: nothing. Adds: the raw columns that are not there; keeps all other columns as they are.
    """
    there = {column.lower(): F.col(f"`{column}`") for column in df.columns}
    raw = {column.lower() for column in RAW_COLUMNS}
    others = [column for name, column in there.items() if name not in raw]
    texts = [there.get(name.lower(), F.lit(None)).cast("string").alias(name) for name in RAW_COLUMNS]
    return df.select(*others, *texts)
