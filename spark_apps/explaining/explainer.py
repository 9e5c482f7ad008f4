"""One model version that explains listings: priced by Spark as serving prices them, explained from its parts.

Any member that is not the sum of its parts is found out here, and said: an explanation never guesses.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from control_plane.explanations import Explanation
from spark_apps.explaining import parts
from spark_apps.explaining.attributes import Lineage
from spark_apps.explaining.errors import ExplanationError, ListingError
from spark_apps.explaining.explanation import MemberPrice, rows, stack_price
from spark_apps.explaining.saved import stages
from spark_apps.listings.schema import RAW_COLUMNS
from spark_apps.serving.answers import answer
from spark_apps.serving.requests import requests
from spark_apps.training import background
from spark_apps.training.members import log_column
from spark_apps.training.preparation import FEATURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import Column, Row, SparkSession

    from spark_apps.serving.model import Fetched

_RECORD = "key binary, value binary, partition int, offset long, timestamp timestamp"
_ANSWER, _SEEN = "answer", "seen"
_SAME = 1e-6  # of a logarithm: a millionth of the price


class Explainer:
    """A fetched model, loaded into the JVM for prices and into arrays for what moved them."""

    def __init__(self, spark: SparkSession, fetched: Fetched, *, max_bytes: int) -> None:
        means = background.read(Path(fetched.folder))
        if means is None:
            raise ExplanationError(
                f"model version {fetched.version} was registered by an earlier release, without the means "
                "that listings are explained against: a training from now on registers them"
            )
        self._spark = spark
        self._max_bytes = max_bytes
        self._version = fetched.version
        self._java_stages = list(fetched.load(spark).java_model.stages())
        self._stages = stages(Path(fetched.folder))
        self._lineage = Lineage.of(self._stages)
        self._parts = parts.read(self._stages, means)

    def explain(self, listing: str) -> Explanation:
        """Explain a listing, a JSON object of raw columns.

        Raises: ListingError when serving would reject it, ExplanationError for a model of another make.
        """
        record = f'{{"kind": "request", "request_id": "explain", "listing": {listing}}}'
        row = [(None, record.encode(), 0, 0, None)]
        asked = requests(self._spark.createDataFrame(row, _RECORD), max_bytes=self._max_bytes)
        scored = self._scored(asked)
        as_json = answer(scored, epoch=F.lit(0), model_version=self._version).alias(_ANSWER)
        [found] = scored.select(as_json, _SEEN, *RAW_COLUMNS, "members", "prediction").collect()
        answered = json.loads(found[_ANSWER])
        if answered["status"] != "predicted":
            raise ListingError(f"the listing gets no price: {answered['reason']}")
        return self._explanation(answered, found)

    def _scored(self, df: DataFrame) -> DataFrame:
        """Apply the model, and keep what its members see, which it drops itself, in a struct."""
        for described, java_stage in zip(self._stages, self._java_stages, strict=True):
            if described.drops(FEATURES):
                df = df.withColumn(_SEEN, F.struct(*self._seen()))
            df = DataFrame(java_stage.transform(df._jdf), df.sparkSession)
        return df

    def _seen(self) -> Iterator[Column]:
        yield vector_to_array(F.col(FEATURES)).alias(FEATURES)
        for member in self._parts.members:
            yield F.col(log_column(member))

    def _explanation(self, answered: Mapping[str, Any], found: Row) -> Explanation:
        seen, prices = found[_SEEN].asDict(), found["members"]
        weights = self._parts.weights
        stack = stack_price(
            [self._member(name, weights[name], prices[name], seen) for name in weights if weights[name] > 0],
            self._parts.intercept,
        )
        return Explanation(
            model_version=self._version,
            price=answered["price"],
            low=answered["low"],
            high=answered["high"],
            members=answered["members"],
            weights=weights,
            base=stack.base,
            attributes=rows(stack, self._lineage.columns(), found.asDict()),
            remark=answered["reason"],
        )

    def _member(self, name: str, weight: float, price: float, seen: Mapping[str, Any]) -> MemberPrice:
        total: defaultdict[str, float] = defaultdict(float)
        sums = self._parts.members.get(name, [])
        for part in sums:
            moved = part.contributions(np.array(seen[part.features])).tolist()
            for attribute, by in zip(self._lineage.attributes(part.features), moved, strict=True):
                total[attribute] += by
        base = math.fsum(part.base for part in sums)
        if not math.isclose(base + sum(total.values()), seen[log_column(name)], abs_tol=_SAME):
            raise ExplanationError(
                f"model version {self._version} is made in a way that this release cannot explain: "
                f"{name} is not the sum of its planes and trees"
            )
        return MemberPrice(weight, price, base, total)
