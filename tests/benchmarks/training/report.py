"""The tables of a benchmark, as texts by row, and what does not hold. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control_plane.demo.report import Rows, dollars
from tests.benchmarks.training.results import WHOLE_JOB, XGBOOST
from tests.benchmarks.training.slope import Point, exponents, times_a_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.training.results import Result

#: The whole job takes at most so many times what XGBoost alone takes, from so many rows on.
MOST_TIMES, FROM_ROWS = 3.0, 300_000
#: Time grows at most so many times faster than rows.
MOST_GROWTH = 1.2
NOTHING = "-"

COMPARED = ("contestant", "seconds", "to XGBoost", "CPU s", "RMSE", "of boosting", "rounds", "peak memory")
GROWN = (
    "rows", "to learn", "seconds", "ms a row", "to first", "exponent", "CPU s", "RMSE", "test", "best",
    "peak memory",
)  # fmt: skip


def comparison(results: Sequence[Result]) -> Rows:
    """One row a contestant, under :data:`COMPARED`."""
    yardstick = next((one.usage.seconds for one in results if one.contestant == XGBOOST), None)
    return [
        [
            one.contestant,
            f"{one.usage.seconds:,.1f}",
            NOTHING if yardstick is None else f"{one.usage.seconds / yardstick:.2f}",
            f"{one.usage.cpu_seconds:,.1f}",
            dollars(one.rmse),
            dollars(one.boosting_rmse),
            f"{one.rounds:,}" if one.rounds else NOTHING,
            gib(one.usage.peak_bytes),
        ]
        for one in results
    ]


def growth(sizes: Sequence[int], results: Sequence[Result], best: Sequence[float]) -> Rows:
    """One row a size, under :data:`GROWN`.

    ``sizes`` are the rows generated for each of ``results``, and ``best`` their best possible RMSE.
    """
    points = _points(sizes, results)
    slopes = [NOTHING, *(f"{exponent:.2f}" for exponent in exponents(points))]
    return [
        [
            f"{size:,}",
            f"{one.rows:,}",
            f"{one.usage.seconds:,.1f}",
            f"{1000 * one.usage.seconds / size:.2f}",
            f"{times:.2f}",
            slope,
            f"{one.usage.cpu_seconds:,.1f}",
            dollars(one.rmse),
            NOTHING if one.test_rmse is None else dollars(one.test_rmse),
            dollars(least),
            gib(one.usage.peak_bytes),
        ]
        for size, one, least, times, slope in zip(
            sizes, results, best, times_a_row(points), slopes, strict=True
        )
    ]


def steps(columns: Sequence[Mapping[str, float]]) -> Rows:
    """One row a step, with its seconds in each of ``columns``; what the steps leave is not in here."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [
        [name, *(f"{column[name]:,.1f}" if name in column else NOTHING for column in columns)]
        for name in names
    ]


def step_columns(result: Result) -> dict[str, float]:
    """Return a job's seconds by step, with what is before and after them, and those of fits by member."""
    rest = result.usage.seconds - sum(result.steps.values())
    fits = {f"  fits of {member}": seconds for member, seconds in sorted(result.fit_seconds.items())}
    return {**result.steps, "start and end": rest, **fits}


def too_slow(rows: int, results: Sequence[Result]) -> list[str]:
    """Say whether the whole job takes longer than it may beside XGBoost alone; nothing of few rows."""
    seconds = {one.contestant: one.usage.seconds for one in results}
    if rows < FROM_ROWS or not {WHOLE_JOB, XGBOOST} <= seconds.keys():
        return []
    times = seconds[WHOLE_JOB] / seconds[XGBOOST]
    if times <= MOST_TIMES:
        return []
    return [f"the whole job took {times:.2f} times what {XGBOOST} took: it may take {MOST_TIMES:g} times"]


def growing_too_fast(sizes: Sequence[int], results: Sequence[Result]) -> list[str]:
    """Name the sizes at which a row takes longer than it may beside the first size's."""
    times = times_a_row(_points(sizes, results))
    return [
        f"at {size:,} rows a row takes {one:.2f} times what it takes at {sizes[0]:,}: it may {MOST_GROWTH:g}"
        for size, one in zip(sizes, times, strict=True)
        if one > MOST_GROWTH
    ]


def gib(size: float) -> str:
    """Format bytes."""
    return f"{size / 2**30:.2f} GiB"


def _points(sizes: Sequence[int], results: Sequence[Result]) -> list[Point]:
    return [Point(size, one.usage.seconds) for size, one in zip(sizes, results, strict=True)]
