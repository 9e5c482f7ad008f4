"""The JVM behind PySpark, for the few things of Spark ML that PySpark has no words for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

# Joins texts for one call over py4j instead of one for each; a text that holds it must not come here.
SEPARATOR = "\x1f"


def jvm() -> Any:
    """Return the root of the JVM's packages."""
    return SparkSession.active()._jvm


def string_array(texts: Sequence[str]) -> Any:
    """Return a Java ``String[]``; empty texts are not possible."""
    return jvm().org.apache.commons.lang3.StringUtils.split(SEPARATOR.join(texts), SEPARATOR)


def uncache(df: DataFrame) -> None:
    """Free what a local checkpoint has cached, of which a data frame itself knows nothing any more."""
    df._jdf.queryExecution().analyzed().rdd().unpersist(False)


def texts(array: Any) -> list[str]:
    """Return the texts of a Java ``String[]`` that has any, by one call.

    Asked for one by one, each that is longer than a packet would take 40 ms (a delayed acknowledgement).
    """
    joined: str = jvm().scala.collection.mutable.ArraySeq.make(array).mkString(SEPARATOR)
    return joined.split(SEPARATOR)


def floats(array: Any) -> tuple[float, ...]:
    """Return the numbers of a Java ``float[]`` by one call."""
    joined: str = jvm().org.apache.commons.lang3.StringUtils.join(array, ",")
    return tuple(float(number) for number in joined.split(",")) if joined else ()


def string_arrays(arrays: Sequence[Sequence[str]]) -> Any:
    """Return a Java ``String[][]`` whose rows have lengths of their own."""
    gateway: Any = SparkContext._gateway
    rows = gateway.new_array(jvm().java.lang.String, len(arrays), 0)
    for position, texts in enumerate(arrays):
        rows[position] = string_array(texts)
    return rows
