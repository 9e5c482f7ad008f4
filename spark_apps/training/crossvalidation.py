"""Every member over its grid and all folds, side by side; the predictions for rows not fitted on are kept.

A fold is made of cars, so no car stands on both sides, and everything fitted (scales, labels, members) is
fitted on one side of it. Nothing is fitted twice: the fits of the best setting give the out-of-fold
predictions that the stack learns from.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from itertools import islice
from operator import add
from typing import TYPE_CHECKING, TypeVar

import structlog
from pyspark import inheritable_thread_target
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_apps.training.members import Fit, Member, Params, price_sql
from spark_apps.training.metrics import Errors, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import SparkSession

    from spark_apps.listings.features import Labels

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True)
class Fold:
    """Rows to fit on and rows held out, both with the feature vectors fitted on the former."""

    number: int
    train: DataFrame
    held_out: DataFrame
    labels: Labels


@dataclass(frozen=True)
class Whole:
    """All training rows with vectors fitted on all of them, and what was fitted for those."""

    rows: DataFrame
    today: float
    labels: Labels


@dataclass(frozen=True)
class FoldFit:
    """One fit of one setting on one fold, and how it does on the rows held out.

    ``started`` is in seconds since 1970.
    """

    fold: int
    fit: Fit
    errors: Errors
    started: float
    fit_seconds: float
    validation_seconds: float


@dataclass(frozen=True)
class Setting:
    """One point of a member's grid with its fits, one a fold."""

    params: Params
    fits: tuple[FoldFit, ...]

    @property
    def errors(self) -> Errors:
        """The errors on all rows, each held out once."""
        return reduce(add, (fold.errors for fold in self.fits))

    def final_params(self) -> Params:
        """Return the parameters for the fit on all rows: the given ones and the folds' mean choices."""
        chosen = [fold.fit.chosen() for fold in self.fits]
        means = {name: float(round(sum(one[name] for one in chosen) / len(chosen))) for name in chosen[0]}
        return self.params | means


@dataclass(frozen=True)
class Validated:
    """A member after cross-validation."""

    member: Member
    settings: tuple[Setting, ...]

    @property
    def best(self) -> Setting:
        """The setting with the least RMSE on rows held out."""
        return min(self.settings, key=lambda setting: setting.errors.rmse)

    @property
    def fit_seconds(self) -> float:
        """Seconds of all fits together; they overlap with those of other members."""
        return sum(fold.fit_seconds for setting in self.settings for fold in setting.fits)

    @property
    def validation_seconds(self) -> float:
        """Seconds of scoring all rows held out."""
        return sum(fold.validation_seconds for setting in self.settings for fold in setting.fits)


def in_parallel(spark: SparkSession, tasks: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """Run ``tasks`` on ``threads`` threads of Python, each with a thread of its own in the JVM."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda task: task(), [inheritable_thread_target(spark)(task) for task in tasks]))


def cross_validate(
    spark: SparkSession, members: Sequence[Member], folds: Sequence[Fold], threads: int
) -> list[Validated]:
    """Fit every setting of every member on every fold."""
    points = [(member, params) for member in members for params in member.grid]
    tasks = [partial(_fit, member, params, fold) for member, params in points for fold in folds]
    fits = iter(in_parallel(spark, tasks, threads))
    settings = [(member, Setting(params, tuple(islice(fits, len(folds))))) for member, params in points]
    return [
        Validated(member, tuple(setting for of, setting in settings if of is member)) for member in members
    ]


def _fit(member: Member, params: Params, fold: Fold) -> FoldFit:
    pool(fold.train, member)
    since, started = time.time(), time.monotonic()
    fit = member.fit(fold.train, fold.labels, params)
    fitted = time.monotonic()
    scored = fit.transform(fold.held_out).withColumn("price", F.expr(price_sql(member.name)))
    found = errors(scored, ["price"])[0]
    ended = time.monotonic()
    log.info(
        "training.member.fitted",
        member=member.name,
        fold=fold.number,
        rmse=round(found.rmse),
        seconds=round(fitted - started, 2),
        **params,
        **fit.chosen(),
    )
    return FoldFit(fold.number, fit, found, since, fitted - started, ended - fitted)


def fit_on_all(
    spark: SparkSession, validated: Sequence[Validated], whole: Whole, threads: int
) -> dict[str, Fit]:
    """Fit every member with its best setting on all training rows; by the member's name."""

    def fit(one: Validated) -> Fit:
        pool(whole.rows, one.member)
        return one.member.fit(whole.rows, whole.labels, one.best.final_params())

    fits = in_parallel(spark, [partial(fit, one) for one in validated], threads)
    return {one.member.name: fit for one, fit in zip(validated, fits, strict=True)}


def pool(df: DataFrame, member: Member) -> None:
    """Let this thread's jobs share Spark's slots fairly with those of other members."""
    df.sparkSession.sparkContext.setLocalProperty("spark.scheduler.pool", member.name)


def out_of_fold(validated: Sequence[Validated], folds: Sequence[Fold]) -> DataFrame:
    """Return the rows held out with every member's price, predicted by the best setting's fits.

    Returns: ``label``, ``fold`` and ``price_<member>``, all in dollars but the fold.
    """
    return reduce(DataFrame.unionByName, (_held_out(validated, fold) for fold in folds))


def _held_out(validated: Sequence[Validated], fold: Fold) -> DataFrame:
    df = fold.held_out
    for one in validated:
        df = one.best.fits[fold.number].fit.transform(df)
    prices = [f"{price_sql(one.member.name)} AS price_{one.member.name}" for one in validated]
    return df.selectExpr("label", "fold", *prices)
