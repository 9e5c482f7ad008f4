"""Plain LightGBM in one process: the logarithm of the price by the project's features, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm

from tests.benchmarks.training.boosting_alone import Fit, Fitted, main

if TYPE_CHECKING:
    from tests.benchmarks.training.plan import BoostingSetting, Fold

# XGBoost's defaults where they differ from LightGBM's; the least weight of a leaf is a setting.
_DATA = {"max_bin": 255, "min_data_in_leaf": 1, "feature_pre_filter": False, "verbosity": -1}


def prepare(fold: Fold, threads: int) -> Fit:
    """Put the fold's features into bins, once for all settings."""
    data = {**_DATA, "num_threads": threads}
    fitted, stopping = fold.fitted, fold.stopping
    train = lightgbm.Dataset(
        fitted.features,
        fitted.log_price,
        weight=fitted.weight,
        params=data,
    ).construct()
    validation = train.create_valid(stopping.features, stopping.log_price, weight=stopping.weight)

    def fit(setting: BoostingSetting) -> Fitted:
        booster = lightgbm.train(
            data | _params(setting),
            train,
            setting.rounds,
            valid_sets=[validation],
            callbacks=[lightgbm.early_stopping(setting.patience, verbose=False)],
        )
        rounds = booster.best_iteration or setting.rounds
        predicted = booster.predict(fold.held_out.features, num_iteration=rounds, num_threads=threads)
        return Fitted(predicted, rounds)

    return fit


def _params(setting: BoostingSetting) -> dict[str, Any]:
    return {
        "objective": "regression",
        "max_depth": setting.depth,
        "num_leaves": setting.leaves,
        "learning_rate": setting.learning_rate,
        "min_sum_hessian_in_leaf": setting.min_child_weight,
        "bagging_fraction": setting.subsample,
        "bagging_freq": 1,
        "feature_fraction": setting.columns_a_tree,
        "lambda_l2": setting.l2,
        "seed": setting.seed,
    }


if __name__ == "__main__":
    main(prepare, f"lightgbm {lightgbm.__version__}")
