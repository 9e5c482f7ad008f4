from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spark_apps.drift.reference import (
    CategoryBins,
    ErrorByWidth,
    NumberBins,
    Reference,
    category_bins,
    error_by_width,
    number_bins,
    output_bins,
)


def quantiles(values: list[int]) -> list[float]:
    """The smallest value that so many thousandths of the values do not exceed, for each thousandth."""
    ordered = sorted(values)
    return [float(ordered[max(0, -(-level * len(values) // 1000) - 1)]) for level in range(1001)]


def test_a_number_is_binned_at_its_deciles():
    bins = number_bins(quantiles(list(range(1, 1001))), 1000, 20)

    assert bins.edges == tuple(range(100, 1000, 100))
    assert bins.tally == (100,) * 10 + (20,)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=300))
def test_counts_are_those_of_the_values_up_to_the_steps_of_the_quantiles(values):
    bins = number_bins(quantiles(values), len(values), 0)

    held = np.searchsorted(bins.edges, values, side="left")
    for number, count in enumerate(bins.counts):
        assert abs(count - np.sum(held == number)) <= 1 + len(values) / 1000
    assert sum(bins.counts) == len(values)


def test_a_number_that_is_never_known_has_one_bin_and_all_rows_are_missing():
    assert number_bins((), 0, 50) == NumberBins(edges=(), counts=(0,), missing=50)


def test_rare_labels_share_a_bin():
    found = {f"make {number:02d}": 100 - number for number in range(30)}

    bins = category_bins(found, sum(found.values()) + 5, 7)

    assert bins.labels == tuple(f"make {number:02d}" for number in range(20))
    assert bins.counts[0] == 5 + sum(100 - number for number in range(20, 30))
    assert sum(bins.tally) == sum(found.values()) + 12


def test_the_estimated_error_of_the_rows_that_it_was_fitted_on_is_their_error():
    source = np.random.default_rng(3)
    half_width = source.uniform(1_000, 9_000, 2_000)
    error = source.normal(0, half_width / 3)

    fitted = error_by_width(half_width, error)

    band = np.searchsorted(fitted.edges, half_width, side="left")
    estimate = half_width * np.array(fitted.mae)[band]
    squared = (half_width * np.array(fitted.rmse)[band]) ** 2
    assert estimate.mean() == pytest.approx(np.abs(error).mean())
    assert np.sqrt(squared.mean()) == pytest.approx(np.sqrt((error**2).mean()))
    assert len(fitted.mae) == 5


def test_intervals_without_width_promise_no_error():
    assert error_by_width(np.zeros(10), np.ones(10)) == ErrorByWidth(edges=(), mae=(0.0,), rmse=(0.0,))


def test_what_is_written_is_what_the_digest_names(tmp_path):
    one = Reference(
        numbers={"year": number_bins(quantiles([2010, 2015, 2020]), 3, 0)},
        categories={"make": category_bins({"ford": 2}, 2, 1)},
        outputs={"prediction": output_bins(np.array([1e4, 2e4, 3e4]))},
        errors=error_by_width(np.array([1.0, 2.0]), np.array([0.5, -1.0])),
    )
    one.write(tmp_path)
    again = Reference.model_validate_json((tmp_path / "reference.json").read_text())

    assert again == one
    assert again.digest == one.digest


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (NumberBins, {"edges": [2, 1], "counts": [1, 1, 1], "missing": 0}),
        (NumberBins, {"edges": [1], "counts": [1], "missing": 0}),
        (CategoryBins, {"labels": ["ford"], "counts": [1], "missing": 0}),
        (ErrorByWidth, {"edges": [1], "mae": [1], "rmse": [1, 2]}),
    ],
)
def test_bins_that_do_not_fit_together_are_refused(kind, fields):
    with pytest.raises(ValidationError):
        kind.model_validate(fields)
