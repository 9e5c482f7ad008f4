"""Whether generated listings can stand in for real ones: shares, prices, what a model learns from them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from control_plane.simulator.generator import GenerationReport, generate

ROWS = 200_000
#: Shares of the model years of the whole file that are published one by one; the rest is older.
YEAR_SHARES = {2020: 0.43, 2017: 0.15, 2018: 0.07, 2019: 0.07, 2021: 0.05, 2016: 0.04}
SANE = (500.0, 150_000.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[GenerationReport, Path]:
    report = generate(ROWS, 20, tmp_path_factory.mktemp("generated"))
    return report, report.parts[0]


@pytest.fixture(scope="module")
def generated(written) -> pd.DataFrame:
    """All columns as text, missing only where the field is empty."""
    return pd.read_csv(written[1], dtype="string", keep_default_na=False, na_values=[""])


@pytest.fixture(scope="module")
def priced(generated: pd.DataFrame) -> pd.DataFrame:
    return named(generated[["make_name", "model_name", "year", "mileage", "price"]])


def named(listings: pd.DataFrame) -> pd.DataFrame:
    """Names in lower case (the tables of facts spell them so), numbers as numbers."""
    numbers = listings[["year", "mileage", "price"]].astype(float)
    return numbers.assign(
        make=listings["make_name"].astype(str).str.lower(),
        model=listings["model_name"].astype(str).str.lower().str.strip(),
    )


def test_every_column_is_missing_as_often_as_in_the_real_file(generated, shared_data):
    profile = pd.read_csv(shared_data / "column_profile.tsv", sep="\t", index_col="column")
    missing = 100 * generated.isna().mean()
    assert list(generated.columns) == list(profile.index)
    assert (missing - profile["missing_percent"]).abs().max() < 3


def test_the_50_most_listed_models_are_there_at_their_mean_prices(priced, shared_data):
    real = pd.read_csv(shared_data / "model_prices.tsv", sep="\t").head(50).set_index(["make", "model"])
    mean = priced.groupby(["make", "model"])["price"].mean().reindex(real.index)
    assert not mean.isna().any()
    assert (mean / real["mean_price"] - 1).abs().max() < 0.2


def test_model_years_are_spread_as_in_the_real_file(priced):
    shares = priced["year"].value_counts(normalize=True)
    older = shares[shares.index < 2016].sum()
    variation = abs(older - (1 - sum(YEAR_SHARES.values())))
    variation += sum(abs(shares[year] - share) for year, share in YEAR_SHARES.items())
    assert variation / 2 < 0.1


def test_a_model_of_all_columns_comes_near_the_best_possible_error_and_not_below(written, generated, priced):
    best = written[0].best
    columns = ["horsepower", "engine_displacement", "owner_count"]
    seen = priced.assign(
        **{name: generated[name].astype(float) for name in columns},
        new=(generated["is_new"] == "True").astype(float),
        rich=generated["major_options"].str.count("'").astype(float).fillna(0.0),
    )
    right = seen[priced["price"].between(*SANE)].sample(60_000, random_state=0)
    train, test = right.iloc[:45_000], right.iloc[45_000:]
    error = rmse(predicted(train, test, [*columns, "new", "rich"]), test)
    assert best.rmse < error < 2.5 * best.rmse


@pytest.mark.parametrize("half", [0, 1])
def test_a_model_of_generated_rows_predicts_real_prices_nearly_as_well_as_one_of_real_rows(
    priced, shared_data, half
):
    real = named(pd.read_csv(shared_data / "real_prices.csv.gz")).dropna(subset=["year"])
    order = np.random.default_rng(4).permutation(len(real))
    train, test = (real.iloc[part] for part in np.array_split(order, 2)[:: 1 - 2 * half])
    sane = test[test["price"].between(*SANE)]
    few = priced.sample(len(train), random_state=half)
    of_real = rmse(predicted(train, sane), sane)
    assert rmse(predicted(few, sane), sane) < 1.35 * of_real
    assert rmse(predicted(priced.sample(50_000, random_state=half), sane), sane) < 1.35 * of_real


def predicted(train: pd.DataFrame, test: pd.DataFrame, extra: list[str] | None = None) -> np.ndarray:
    """Prices of ``test`` by gradient boosting of the log price; names count by their mean in ``train``."""
    target = np.log(train["price"])

    def features(listings: pd.DataFrame) -> np.ndarray:
        means = []
        for name in ("make", "model"):
            groups = target.groupby(train[name]).agg(["sum", "count"])
            smoothed = (groups["sum"] + 5 * target.mean()) / (groups["count"] + 5)
            means.append(listings[name].map(smoothed).fillna(target.mean()))
        return np.column_stack([*means, listings[["year", "mileage", *(extra or [])]]])

    learner = HistGradientBoostingRegressor(random_state=0).fit(features(train), target)
    return np.exp(learner.predict(features(test)))


def rmse(predictions: np.ndarray, test: pd.DataFrame) -> float:
    return float(np.sqrt(np.mean((predictions - test["price"]) ** 2)))
