"""Every member over its grid and all folds, side by side; the prices of rows not fitted on are kept.

A fold is made of cars, so no car stands on both sides, and everything fitted (scales, labels, members) is
fitted on one side of it. Nothing is fitted twice: the prices by the best setting's fits are what the stack
learns from, and a fit that an earlier attempt has kept is not made again.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import structlog
from pyspark import inheritable_thread_target
from pyspark.sql import functions as F

from spark_apps.jvm import uncache
from spark_apps.training.members import Fit, Member, Params, PriceRange, price_sql
from spark_apps.training.metrics import Errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyspark.sql import DataFrame, SparkSession

    from spark_apps.training.preparation import Encoding

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True)
class Vectors:
    """All training rows with feature vectors, cached, and what was fitted for those on some of the rows."""

    rows: DataFrame
    encoding: Encoding

    def release(self) -> None:
        """Free what is cached; the rows are of no use then."""
        uncache(self.rows)


class Fold:
    """Rows to fit on and rows held out, both with the feature vectors fitted on the former.

    Vectors take ten times the memory of what they are made of: they are made when they are first asked for,
    and released when all is fitted on them. ``real`` are the prices of the rows held out (dollars), in the
    order of their ``row``; ``within`` is what no price is beyond.
    """

    def __init__(
        self, number: int, real: np.ndarray[Any, Any], within: PriceRange, make: Callable[[], Vectors]
    ) -> None:
        self.number = number
        self.real = real
        self.within = within
        self._make = make
        self._lock = threading.Lock()
        self._made: Vectors | None = None

    @property
    def encoding(self) -> Encoding:
        """What was fitted for the vectors, on the rows to fit on."""
        return self._vectors().encoding

    @property
    def train(self) -> DataFrame:
        """The rows to fit on."""
        return self._vectors().rows.where(F.col("fold") != self.number)

    @property
    def held_out(self) -> DataFrame:
        """The rows held out."""
        return self._vectors().rows.where(F.col("fold") == self.number)

    def release(self) -> None:
        """Free the vectors, if there are any; asked for again they are made again."""
        with self._lock:
            if self._made:
                self._made.release()
                self._made = None

    def _vectors(self) -> Vectors:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


@dataclass(frozen=True)
class FoldFit:
    """What is known of one fit of one setting on one fold.

    ``chosen`` and ``curves`` are as the fit says; ``prices`` are what it says of the rows held out (dollars,
    in the order of ``Fold.real``). ``started`` is in seconds since 1970.
    """

    fold: int
    chosen: Params
    curves: Mapping[str, tuple[float, ...]]
    errors: Errors
    started: float
    fit_seconds: float
    validation_seconds: float
    prices: np.ndarray[Any, Any]


class KeptFits(Protocol):
    """Where fits are kept for another attempt at the same training."""

    def find(self, name: str, rows: int) -> FoldFit | None:
        """Return the fit of this name with prices of so many rows, or None."""

    def keep(self, name: str, fit: FoldFit) -> None:
        """Keep a fit under a name."""


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
        """Return the parameters for the fit on all rows: the given ones and what the folds' fits have chosen.

        That is the rounds, and more rows bear more of them: the folds' mean grows by the root of how many
        more rows there are, which takes 4 dollars off the RMSE on real listings.
        """
        folds = len(self.fits)
        growth = math.sqrt(folds / (folds - 1))
        chosen = {
            name: float(round(growth * sum(fold.chosen[name] for fold in self.fits) / folds))
            for name in self.fits[0].chosen
            if name not in self.params
        }
        return self.params | chosen


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
    spark: SparkSession,
    members: Sequence[Member],
    folds: Sequence[Fold],
    threads: int,
    kept: KeptFits | None = None,
) -> list[Validated]:
    """Fit every setting of every member on every fold, unless it is ``kept``.

    Fold by fold, so that as a rule no more than two have vectors at a time.
    """
    points = [(member, params) for member in members for params in member.grid]
    left = {fold.number: len(points) for fold in folds}
    counting = threading.Lock()

    def fit(fold: Fold, member: Member, params: Params) -> FoldFit:
        try:
            return _kept_or_fit(kept, member, params, fold)
        finally:
            with counting:
                left[fold.number] -= 1
                last = left[fold.number] == 0
            if last:
                fold.release()

    fits = in_parallel(spark, [partial(fit, fold, *point) for fold in folds for point in points], threads)
    settings = [
        (member, Setting(params, tuple(fits[number :: len(points)])))
        for number, (member, params) in enumerate(points)
    ]
    return [
        Validated(member, tuple(setting for of, setting in settings if of is member)) for member in members
    ]


def _kept_or_fit(kept: KeptFits | None, member: Member, params: Params, fold: Fold) -> FoldFit:
    if kept is None:
        return _fit(member, params, fold)
    name = "-".join((member.name, *(f"{key}={value:g}" for key, value in params.items()), str(fold.number)))
    if (found := kept.find(name, len(fold.real))) is None:
        found = _fit(member, params, fold)
        kept.keep(name, found)
    return found


def _fit(member: Member, params: Params, fold: Fold) -> FoldFit:
    train, held_out = fold.train, fold.held_out
    pool(train, member)
    since, started = time.time(), time.monotonic()
    fit = member.fit(train, fold.encoding, params)
    fitted = time.monotonic()
    prices = _prices(fit.transform(held_out), member, fold.within)
    ended = time.monotonic()
    found = FoldFit(
        fold=fold.number,
        chosen=fit.chosen(),
        curves=fit.curves(),
        errors=Errors.of(prices, fold.real),
        started=since,
        fit_seconds=fitted - started,
        validation_seconds=ended - fitted,
        prices=prices,
    )
    log.info(
        "training.member.fitted",
        member=member.name,
        fold=fold.number,
        rmse=round(found.errors.rmse),
        seconds=round(fitted - started, 2),
        **(params | found.chosen),  # Spark's own boosting is told its rounds, and says them again
    )
    return found


def _prices(predicted: DataFrame, member: Member, within: PriceRange) -> np.ndarray[Any, Any]:
    said = predicted.selectExpr("row", f"{price_sql(member.name, within)} AS price").toArrow()
    return in_order(said, "price")


def in_order(rows: pa.Table, column: str) -> np.ndarray[Any, Any]:
    """Return a column in the order of ``row``: Spark gives rows in any."""
    return np.asarray(rows.column(column).to_numpy()[np.argsort(rows.column("row").to_numpy())])


def fit_on_all(
    spark: SparkSession, validated: Sequence[Validated], whole: Vectors, threads: int
) -> dict[str, Fit]:
    """Fit every member with its best setting on all training rows; by the member's name."""

    def fit(one: Validated) -> Fit:
        pool(whole.rows, one.member)
        return one.member.fit(whole.rows, whole.encoding, one.best.final_params())

    fits = in_parallel(spark, [partial(fit, one) for one in validated], threads)
    return {one.member.name: fit for one, fit in zip(validated, fits, strict=True)}


def pool(df: DataFrame, member: Member) -> None:
    """Let this thread's jobs share Spark's slots fairly with those of other members."""
    df.sparkSession.sparkContext.setLocalProperty("spark.scheduler.pool", member.name)


def out_of_fold(validated: Sequence[Validated], folds: Sequence[Fold]) -> pa.Table:
    """Return the rows held out with every member's price, as the best setting's fits have predicted it.

    Returns: ``label``, ``fold`` and ``price_<member>``, all in dollars but the fold.
    """
    columns = {
        "label": [fold.real for fold in folds],
        "fold": [np.full(len(fold.real), fold.number) for fold in folds],
        **{f"price_{one.member.name}": [fit.prices for fit in one.best.fits] for one in validated},
    }
    return pa.table({name: np.concatenate(parts) for name, parts in columns.items()})
