"""Plain XGBoost in one process: the logarithm of the price by the project's features, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xgboost

from tests.benchmarks.training.boosting_alone import Fit, Fitted, main

if TYPE_CHECKING:
    from tests.benchmarks.training.plan import BoostingSetting, Fold


def prepare(fold: Fold, threads: int) -> Fit:
    """Put the fold's features into bins, once for all settings."""
    common: dict[str, Any] = {
        "nthread": threads,
    }
    fitted, stopping, held_out = fold.fitted, fold.stopping, fold.held_out
    train = xgboost.QuantileDMatrix(fitted.features, fitted.log_price, weight=fitted.weight, **common)
    validation = xgboost.QuantileDMatrix(
        stopping.features, stopping.log_price, weight=stopping.weight, ref=train, **common
    )
    asked = xgboost.DMatrix(held_out.features, **common)

    def fit(setting: BoostingSetting) -> Fitted:
        booster = xgboost.train(
            setting.for_xgboost() | {"nthread": threads},
            train,
            setting.rounds,
            evals=[(validation, "stopping")],
            early_stopping_rounds=setting.patience,
            verbose_eval=False,
        )
        rounds = booster.best_iteration + 1
        return Fitted(booster.predict(asked, iteration_range=(0, rounds)), rounds)

    return fit


if __name__ == "__main__":
    main(prepare, f"xgboost {xgboost.__version__}")
