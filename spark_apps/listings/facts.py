"""What all listings together say of themselves: facts of the crawl and of how makers build, not of prices.

They are found once, on all rows that a training may fit on, and travel in the model's first stage as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_apps.jvm import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

# When the dataset was crawled, should a train set not hold a single day of listing.
_CRAWLED = 2020.7

# A descriptor tells a trim that nine of ten of its listings have, of three at least.
_LISTINGS, _AGREE = 3, 0.9
_DESCRIPTORS_AT_MOST = 20_000
_NOT_IN_SQL = f"['\\\\${SEPARATOR}]"  # what would end a text or one of its parts, or be replaced in it


@dataclass(frozen=True)
class Facts:
    """What stands in where a listing leaves something empty.

    ``today`` is the day of a listing without one, as a year with its fraction; ``trims`` has the trim of a
    listing that names none, by what its VIN describes.
    """

    today: float
    trims: Mapping[str, str] = field(default_factory=dict)

    def trim(self) -> str:
        """Return the SQL of the trim as it is named, or else as the VIN tells it.

        Needs: ``clean_trim_name``, ``clean_vin_descriptor``. Looked through is one text after the other, but
        only of the listings that name no trim.
        """
        if not self.trims:
            return "clean_trim_name"
        descriptors, trims = _texts(self.trims.keys()), _texts(self.trims.values())
        place = f"CAST(array_position({descriptors}, clean_vin_descriptor) - 1 AS INT)"
        return f"coalesce(clean_trim_name, get({trims}, {place}))"


def _texts(texts: Iterable[str]) -> str:
    """Return the SQL of an array of texts; as one text, as an array of so many would be parsed one by one."""
    return f"split('{SEPARATOR.join(texts)}', '{SEPARATOR}')"


def facts_of(clean: DataFrame) -> Facts:
    """Find the facts of ``clean`` listings, what :func:`spark_apps.listings.features.cleaned` returns."""
    return Facts(_newest_listing(clean), _trims_by_vin(clean))


def _newest_listing(clean: DataFrame) -> float:
    """Return the newest day of listing as a year with its fraction, but for one of a hundred."""
    found = clean.agg(F.percentile_approx("clean_listed", 0.99)).first()
    return float(found[0]) if found and found[0] is not None else _CRAWLED


def _trims_by_vin(clean: DataFrame) -> dict[str, str]:
    """Return the trim that a VIN's descriptor tells, the most frequent descriptor first."""
    descriptor, trim = "clean_vin_descriptor", "clean_trim_name"
    both = clean.where(f"{descriptor} IS NOT NULL AND {trim} IS NOT NULL").groupBy(descriptor, trim).count()
    told = (
        both.groupBy(descriptor)
        .agg(
            F.sum("count").alias("listings"),
            F.max("count").alias("agree"),
            F.max_by(trim, "count").alias(trim),
        )
        .where((F.col("listings") >= _LISTINGS) & (F.col("agree") >= _AGREE * F.col("listings")))
        .where(~F.concat(descriptor, trim).rlike(_NOT_IN_SQL))
        .orderBy(F.desc("listings"), descriptor)
        .limit(_DESCRIPTORS_AT_MOST)
        .select(descriptor, trim)
        .toArrow()
    )
    return dict(zip(*(column.to_pylist() for column in told.columns), strict=True))
