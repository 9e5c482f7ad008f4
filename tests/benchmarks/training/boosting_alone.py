"""The cross-validation of boosting as one process without Spark does it; what library it is, others say.

Run in an environment of its own, which has numpy, pyarrow and the library.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.benchmarks.training.plan import BoostingSetting, Fold, Plan, read_fold

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Fitted:
    """What a fit says of the rows held out (logarithms of dollars), and its best number of rounds."""

    log_prices: np.ndarray[Any, Any]
    rounds: int


Fit = Callable[[BoostingSetting], Fitted]
# Makes ready what all settings share of a fold, for so many threads.
Prepare = Callable[[Fold, int], Fit]


@dataclass(frozen=True)
class BoostingAlone:
    """What came of it: the version of the library, the RMSE of each setting (dollars), rounds of all fits."""

    version: str
    rows: int
    rmse_by_setting: tuple[float, ...]
    rounds: int

    @property
    def rmse(self) -> float:
        """The RMSE of the best setting, of the rows when they were held out."""
        return min(self.rmse_by_setting)


def cross_validate(folder: Path, prepare: Prepare, threads: int, version: str) -> BoostingAlone:
    """Fit every setting on every fold that is in ``folder``."""
    plan = Plan.read(folder)
    squared, rows, rounds = np.zeros(len(plan.settings)), 0, 0
    for number in range(plan.folds):
        fold = read_fold(folder, number)
        fit = prepare(fold, threads)
        for position, setting in enumerate(plan.settings):
            begun = time.monotonic()
            fitted = fit(setting)
            squared[position] += ((np.exp(fitted.log_prices) - fold.held_out.price) ** 2).sum()
            rounds += fitted.rounds
            _say(number, setting, fitted.rounds, time.monotonic() - begun)
        rows += len(fold.held_out.price)
    rmse = np.sqrt(squared / rows)
    return BoostingAlone(version, rows, tuple(float(one) for one in rmse), rounds)


def _say(fold: int, setting: BoostingSetting, rounds: int, seconds: float) -> None:
    sys.stderr.write(
        f"fold {fold}: {setting.leaves} leaves, {rounds} of {setting.rounds} rounds in {seconds:,.1f} s\n"
    )


def main(prepare: Prepare, version: str, arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and write what came of it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True, type=Path, help="where the plan and the folds are")
    parser.add_argument("--threads", required=True, type=int)
    parser.add_argument("--out", required=True, type=Path, help="the file to write")
    told = parser.parse_args(arguments)
    found = cross_validate(told.folder, prepare, told.threads, version)
    told.out.write_text(json.dumps(asdict(found)))
