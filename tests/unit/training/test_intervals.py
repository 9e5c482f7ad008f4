import numpy as np

from spark_apps.training.intervals import calibration, fit_intervals


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
