"""From the rows of a training to the model that prices: validated, stacked, with intervals. Top down.

Nothing here knows where rows come from or where the model goes.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import structlog
from pyspark.ml.regression import GBTRegressionModel

from spark_apps.training.background import background
from spark_apps.training.crossvalidation import Validated, cross_validate, fit_on_all, out_of_fold
from spark_apps.training.folds import prepare
from spark_apps.training.intervals import Intervals, fit_intervals
from spark_apps.training.members import members
from spark_apps.training.model import pricing_model
from spark_apps.training.preparation import FEATURE_NAMES, raw_stages
from spark_apps.training.stacking import Stack, honest_stack, member_prices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from pyspark.ml import PipelineModel, Transformer
    from pyspark.sql import DataFrame

    from spark_apps.training.background import Means
    from spark_apps.training.crossvalidation import KeptFits
    from spark_apps.training.settings import TrainingSettings

log = structlog.get_logger()


@dataclass
class Clock:
    """Seconds of each step, logged as they pass."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the step ``name``."""
        started = time.monotonic()
        yield
        self.seconds[f"seconds.{name}"] = time.monotonic() - started
        log.info(f"training.step.{name}", seconds=round(time.monotonic() - started, 2))


@dataclass(frozen=True)
class Ensemble:
    """What came of a training: the model, the members' fitted stages by name, and how all that was chosen.

    ``real`` (rows) and ``prices`` (rows by members) are dollars of rows when they were held out;
    ``background`` is what listings are explained against.
    """

    model: PipelineModel
    stages: Mapping[str, Sequence[Transformer]]
    validated: tuple[Validated, ...]
    stack: Stack
    intervals: Intervals
    real: np.ndarray[Any, Any]
    prices: np.ndarray[Any, Any]
    background: Means

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names."""
        return tuple(self.stages)

    @property
    def stacked(self) -> np.ndarray[Any, Any]:
        """What the stack says of the rows held out, dollars."""
        return self.stack.predict(self.prices)

    def importances(self) -> dict[str, float]:
        """Return by feature its share of the gain of all trees; nothing of an ensemble without trees."""
        by_name: dict[str, float] = {}
        for stage in chain.from_iterable(self.stages.values()):
            if isinstance(stage, GBTRegressionModel):
                shares: list[float] = stage.featureImportances.toArray().tolist()
                for name, share in zip(FEATURE_NAMES, shares, strict=True):
                    by_name[name] = by_name.get(name, 0.0) + share
        return by_name


def fit_ensemble(
    train: DataFrame,
    rows: int,
    settings: TrainingSettings,
    clock: Clock,
    scratch: str,
    kept: KeptFits | None = None,
) -> Ensemble:
    """Fit on ``train``, which has so many ``rows``; ``scratch`` is a folder for Spark to write to.

    What is validated is ``kept``, and what was kept before is not fitted again.

    Needs: the kept raw columns, ``label`` (dollars), ``car`` and ``fold``.
    """
    spark = train.sparkSession
    with clock.step("prepare"):
        prepared = prepare(train, rows, settings)

    with clock.step("cross_validate"):
        ensemble = members(settings, partitions=prepared.partitions)
        validated = cross_validate(spark, ensemble, prepared.folds, settings.parallelism, kept)

    with clock.step("stack"):
        names = [one.member.name for one in validated]
        held_out = spark.createDataFrame(out_of_fold(validated, prepared.folds)).coalesce(1).localCheckpoint()
        stack = honest_stack(held_out, names)
        real, prices = member_prices(held_out, names)
        intervals = fit_intervals(stack.predict(prices), real, settings.confidence)

    with clock.step("fit"):
        whole = prepared.whole()
        fits = fit_on_all(spark, validated, whole, settings.parallelism)
        stages = {name: fit.stages(scratch) for name, fit in fits.items()}
        model = pricing_model(
            raw_stages(prepared.facts, whole.encoding), stages, stack, intervals, prepared.within
        )
    return Ensemble(
        model,
        stages,
        tuple(validated),
        stack,
        intervals,
        real,
        prices,
        background(whole.rows),
    )
