from __future__ import annotations

import numpy as np
import pytest
from mapie.conformity_scores import AbsoluteConformityScore, BaseRegressionScore, GammaConformityScore
from mapie.regression import SplitConformalRegressor
from sklearn.base import BaseEstimator, RegressorMixin

from spark_apps.training.intervals import calibration, fit_intervals

Ends = tuple[np.ndarray, np.ndarray]


def prices(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and real prices, dollars, whose spread grows with the price."""
    random = np.random.default_rng(seed)
    predicted = random.uniform(5_000, 60_000, 6_000)
    return predicted, predicted * np.exp(random.normal(0, 0.1 + predicted / 300_000))


def test_intervals_hold_the_share_that_they_are_asked_for() -> None:
    held = calibration(*prices(1), *prices(2))

    for asked, found in held.items():
        assert abs(found - asked) < 0.015


def test_they_are_narrower_where_prices_spread_less_and_never_below_zero() -> None:
    low, high = fit_intervals(*prices(1), 0.9).ends(np.array([8_000.0, 55_000.0, -10.0]))

    shares = (high - low)[:2] / np.array([8_000.0, 55_000.0])
    assert shares[0] < 0.8 * shares[1]
    assert low[2] == high[2] == 0


class _SaysWhatItIsGiven(RegressorMixin, BaseEstimator):
    """A fitted model, as MAPIE wants one, whose prediction is its only feature."""

    def fit(self, features: np.ndarray, _labels: np.ndarray) -> _SaysWhatItIsGiven:
        self.n_features_in_ = features.shape[1]
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        return features[:, 0]


def mapie_ends(
    predicted: np.ndarray,
    real: np.ndarray,
    asked: np.ndarray,
    confidence: float,
    score: BaseRegressionScore | None = None,
) -> Ends:
    """Return the ends that MAPIE's split conformal gives: a quantile a side, by relative residuals."""
    model = _SaysWhatItIsGiven().fit(predicted[:, None], real)
    score = score or GammaConformityScore(sym=False)
    conformal = SplitConformalRegressor(model, confidence_level=confidence, conformity_score=score)
    _, ends = conformal.conformalize(predicted[:, None], real).predict_interval(asked[:, None])
    return ends[:, 0, 0], ends[:, 1, 0]


class TestAgainstMapie:
    """MAPIE has no Mondrian wrapper any more; by its definition each band is a split conformal of its own."""

    @pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95])
    def test_in_every_band_the_ends_are_those_of_its_split_conformal(self, confidence: float) -> None:
        predicted, real = prices(1)
        asked, _ = prices(2)
        found = fit_intervals(predicted, real, confidence)
        low, high = found.ends(asked)

        for number in range(len(found.edges) + 1):
            of_band, asked_here = (
                np.searchsorted(found.edges, ones, side="right") == number for ones in (predicted, asked)
            )
            ends = mapie_ends(predicted[of_band], real[of_band], asked[asked_here], confidence)
            assert low[asked_here] == pytest.approx(ends[0], rel=1e-12)
            assert high[asked_here] == pytest.approx(ends[1], rel=1e-12)

    @pytest.mark.parametrize("rows", [99, 19, 7])
    def test_few_rows_are_corrected_for_as_there(self, rows: int) -> None:
        predicted, real = (ones[:rows] for ones in prices(3))

        found = fit_intervals(predicted, real, 0.5)

        assert found.edges == ()
        for ours, theirs in zip(
            found.ends(predicted), mapie_ends(predicted, real, predicted, 0.5), strict=True
        ):
            assert ours == pytest.approx(theirs)

    def test_bands_are_covered_alike_where_one_relative_quantile_fails_the_dear_ones(self) -> None:
        fitted_on, (asked, real) = prices(1), prices(2)
        ours, theirs = fit_intervals(*fitted_on, 0.9), mapie_ends(*fitted_on, asked, 0.9)
        band = np.searchsorted(ours.edges, asked, side="right")

        def held(ends: Ends) -> list[float]:
            return [_held((ends[0][band == n], ends[1][band == n]), real[band == n]) for n in np.unique(band)]

        assert held(ours.ends(asked)) == pytest.approx([0.9] * len(np.unique(band)), abs=0.03)
        assert min(held(theirs)) < 0.8
        assert max(held(theirs)) > 0.95

    def test_they_are_narrower_than_one_quantile_in_dollars_and_hold_as_many(self) -> None:
        fitted_on, (asked, real) = prices(1), prices(2)
        ours = fit_intervals(*fitted_on, 0.9).ends(asked)
        theirs = mapie_ends(*fitted_on, asked, 0.9, AbsoluteConformityScore(sym=False))

        assert _held(ours, real) == pytest.approx(_held(theirs, real), abs=0.01)
        assert (ours[1] - ours[0]).mean() < 0.9 * (theirs[1] - theirs[0]).mean()


def _held(ends: Ends, real: np.ndarray) -> float:
    return float(((ends[0] <= real) & (real <= ends[1])).mean())
