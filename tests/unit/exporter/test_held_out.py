from __future__ import annotations

from control_plane.exporter.held_out import HeldOutErrors
from control_plane.registry import RegistryRefusedError, RegistryUnavailableError
from tests.unit.exporter.exposition import series


class Runs:
    """A registry whose answers are given; ``asked`` are the runs asked for."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def metrics(self, run_id: str) -> dict[str, float]:
        self.asked.append(run_id)
        if isinstance(answer := self.answers[run_id], Exception):
            raise answer
        return answer


FIGURES = {
    "test.stack.rmse": 3_038.0,
    "test.stack.mae": 2_086.0,
    "train.stack.mae": 1.0,
    "seconds.total": 9.0,
}


def test_the_errors_on_held_out_cars_are_told_by_version_and_model():
    errors = HeldOutErrors(Runs({"run-7": FIGURES | {"test.linear_svm.mae": 2_500.0}}))
    errors.ask({7: "run-7"})
    assert series(errors.collect()) == {
        'held_out_rmse_dollars{model="stack",model_version="7"}': 3_038,
        'held_out_mae_dollars{model="stack",model_version="7"}': 2_086,
        'held_out_mae_dollars{model="linear_svm",model_version="7"}': 2_500,
    }


def test_a_run_is_asked_for_once_and_a_version_that_is_gone_is_forgotten():
    runs = Runs({"run-7": FIGURES, "run-8": FIGURES})
    errors = HeldOutErrors(runs)
    errors.ask({7: "run-7"})
    errors.ask({7: "run-7", 8: "run-8"})
    errors.ask({8: "run-8"})
    assert runs.asked == ["run-7", "run-8"]
    assert not [name for name in series(errors.collect()) if '"7"' in name]


def test_while_mlflow_is_away_what_is_known_stays_and_it_is_asked_again():
    runs = Runs({"run-7": FIGURES, "run-8": RegistryUnavailableError("away")})
    errors = HeldOutErrors(runs)
    errors.ask({7: "run-7"})
    errors.ask({7: "run-7", 8: "run-8"})
    assert len(series(errors.collect())) == 2
    runs.answers["run-8"] = FIGURES
    errors.ask({7: "run-7", 8: "run-8"})
    assert len(series(errors.collect())) == 4


def test_a_run_that_was_deleted_has_no_errors_and_is_not_asked_for_again():
    runs = Runs({"run-7": RegistryRefusedError("not found")})
    errors = HeldOutErrors(runs)
    errors.ask({7: "run-7"})
    errors.ask({7: "run-7"})
    assert (runs.asked, series(errors.collect())) == (["run-7"], {})
