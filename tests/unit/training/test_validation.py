from __future__ import annotations

import numpy as np
import pytest

from spark_apps.training.crossvalidation import Fold, FoldFit, Setting
from spark_apps.training.members import XGBoostMember, members
from spark_apps.training.metrics import Errors
from spark_apps.training.settings import TrainingSettings

PRICES = np.array([1.0])


def fit(fold: int, **chosen: float) -> FoldFit:
    return FoldFit(fold, chosen, {}, Errors.of(PRICES, PRICES), 0.0, 0.0, 0.0, PRICES)


def test_the_last_fit_gets_more_rounds_as_it_has_more_rows():
    setting = Setting({"leaves": 64}, tuple(fit(fold, rounds=80 + 10 * fold) for fold in range(5)))
    assert setting.final_params() == {"leaves": 64, "rounds": round(100 * (5 / 4) ** 0.5)}


def test_what_was_told_is_not_chosen():
    setting = Setting({"rounds": 40}, tuple(fit(fold, rounds=40) for fold in range(2)))
    assert setting.final_params() == {"rounds": 40}


@pytest.mark.parametrize(
    ("cores", "partitions", "validating", "last"), [(2, 5, 1, 2), (8, 5, 2, 5), (8, 1, 1, 1)]
)
def test_fits_beside_each_other_share_the_cores(cores, partitions, validating, last):
    boosting = members(TrainingSettings(cores=cores, parallelism=3), partitions)[0]
    assert isinstance(boosting, XGBoostMember)
    params = boosting.grid[0]
    assert boosting.settings(params).workers == validating
    assert boosting.settings(params | {"rounds": 10}).workers == last


def test_the_last_fit_keeps_to_the_budget_of_nodes():
    member = XGBoostMember(rounds=1_000, nodes=12_800, rows_at_most=1_000_000)
    assert member.settings({**member.grid[0], "rounds": 500}).rounds == 100


class Made:
    """Vectors that say whether they were released."""

    encoding = "encoding"
    released = False

    def release(self) -> None:
        self.released = True


def test_vectors_are_made_when_asked_for_once_and_again_after_their_release():
    made: list[Made] = []

    def make() -> Made:
        made.append(Made())
        return made[-1]

    fold = Fold(0, PRICES, (500.0, 250_000.0), make)  # type: ignore[arg-type]
    fold.release()
    assert not made, "there was nothing to release"

    assert fold.encoding == fold.encoding == "encoding"
    assert len(made) == 1
    fold.release()
    assert made[0].released
    assert fold.encoding == "encoding"
    assert len(made) == 2
