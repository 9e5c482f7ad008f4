"""The tables and bounds of `make bench-training`, by figures made up."""

from __future__ import annotations

import pytest

from tests.benchmarks.processes import Usage
from tests.benchmarks.training import report
from tests.benchmarks.training.results import LIGHTGBM, WHOLE_JOB, XGBOOST, Result
from tests.benchmarks.training.slope import Point, exponents, times_a_row

GIB = 2**30


def result(contestant: str, seconds: float, **fields: object) -> Result:
    known = {
        "command": "python",
        "version": "1",
        "rows": 850,
        "usage": Usage(seconds, 2 * seconds, 3 * GIB),
        "rmse": 1_900.4,
        "boosting_rmse": 2_000.0,
        "test_rmse": 1_850.2,
        "rounds": 1_234,
        "steps": {},
        "fit_seconds": {},
    }
    return Result(contestant, **(known | fields))


def test_what_grows_with_the_square_has_the_exponent_two() -> None:
    assert exponents([Point(100, 1), Point(200, 4), Point(400, 16)]) == pytest.approx([2, 2])


def test_the_time_a_row_is_told_as_a_multiple_of_the_first() -> None:
    assert times_a_row([Point(100, 10), Point(1_000, 50), Point(3_000, 600)]) == pytest.approx([1, 0.5, 2])


def test_a_contestant_stands_beside_xgboost() -> None:
    rows = report.comparison(
        [result(WHOLE_JOB, 250.0), result(XGBOOST, 100.0), result(LIGHTGBM, 50, rounds=0)]
    )

    assert rows == [
        [WHOLE_JOB, "250.0", "2.50", "500.0", "$1,900", "$2,000", "1,234", "3.00 GiB"],
        [XGBOOST, "100.0", "1.00", "200.0", "$1,900", "$2,000", "1,234", "3.00 GiB"],
        [LIGHTGBM, "50.0", "0.50", "100.0", "$1,900", "$2,000", "-", "3.00 GiB"],
    ]
    assert {len(row) for row in rows} == {len(report.COMPARED)}


def test_without_xgboost_there_is_no_ratio() -> None:
    [[_, _, ratio, *_]] = report.comparison([result(WHOLE_JOB, 250.0)])

    assert ratio == report.NOTHING


@pytest.mark.parametrize(
    ("rows", "seconds", "problems"), [(300_000, 301, 1), (300_000, 300, 0), (20_000, 900, 0)]
)
def test_the_whole_job_may_take_three_times_as_long_where_rows_are_many(
    rows: int, seconds: float, problems: int
) -> None:
    results = [result(WHOLE_JOB, seconds), result(XGBOOST, 100)]

    assert len(report.too_slow(rows, results)) == problems
    assert report.too_slow(rows, results[:1]) == []


def test_growth_is_told_from_size_to_size() -> None:
    jobs = [result(WHOLE_JOB, 10), result(WHOLE_JOB, 100, rows=8_500)]

    rows = report.growth([1_000, 10_000], jobs, [1_700.0, 1_600.0])

    assert rows == [
        ["1,000", "850", "10.0", "10.00", "1.00", "-", "20.0", "$1,900", "$1,850", "$1,700", "3.00 GiB"],
        [
            "10,000",
            "8,500",
            "100.0",
            "10.00",
            "1.00",
            "1.00",
            "200.0",
            "$1,900",
            "$1,850",
            "$1,600",
            "3.00 GiB",
        ],
    ]
    assert {len(row) for row in rows} == {len(report.GROWN)}


def test_a_size_at_which_a_row_takes_a_fifth_longer_than_at_first_is_named() -> None:
    sizes = [1_000, 2_000, 4_000]
    [problem] = report.growing_too_fast(sizes, [result(WHOLE_JOB, seconds) for seconds in (10, 23, 49)])

    assert problem.startswith("at 4,000 rows")


def test_steps_stand_side_by_side_with_what_is_before_and_after_them() -> None:
    small = result(WHOLE_JOB, 10, steps={"read": 2.0, "fit": 5.0}, fit_seconds={"linear_svm": 4.0})
    large = result(WHOLE_JOB, 20, steps={"read": 4.0, "fit": 12.0, "new": 1.0})

    assert report.steps([report.step_columns(small), report.step_columns(large)]) == [
        ["read", "2.0", "4.0"],
        ["fit", "5.0", "12.0"],
        ["start and end", "3.0", "3.0"],
        ["  fits of linear_svm", "4.0", "-"],
        ["new", "-", "1.0"],
    ]
