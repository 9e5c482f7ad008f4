"""The whole job beside boosting alone, on the same rows and cores, in one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from control_plane.demo.report import dollars
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.training import report
from tests.benchmarks.training.contestants import (
    lightgbm_alone,
    take_features,
    whole_job,
    whole_job_on_sparks_boosting,
    xgboost_alone,
)
from tests.benchmarks.training.results import WHOLE_JOB, Result
from tests.benchmarks.training.setup import Batch, generated_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from control_plane.demo.view import View
    from tests.benchmarks.training.setup import Setup


@dataclass(frozen=True)
class Comparison:
    """What came of all contestants on one batch, and which of them failed."""

    batch: Batch
    results: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, setup: Setup, contestant: Callable[[], Result]) -> None:
        """Let one run; others go on when it fails."""
        try:
            self.results.append(contestant())
        except BenchmarkError as error:
            setup.view.problem(str(error))
            self.failures.append(str(error))
        else:
            done = self.results[-1]
            setup.view.fact(f"✔ {done.contestant}: {done.usage.seconds:,.1f} s")

    @property
    def problems(self) -> list[str]:
        """What failed or took too long."""
        return [*self.failures, *report.too_slow(self.batch.rows, self.results)]


def compare(setup: Setup, rows: int, sparks_rows: int) -> list[Comparison]:
    """Compare on ``rows``; Spark's own boosting is slower by ten times and gets ``sparks_rows`` at most."""
    if rows <= sparks_rows:
        return [_compare(setup, rows, [xgboost_alone, lightgbm_alone], with_sparks=True)]
    return [
        _compare(setup, rows, [xgboost_alone, lightgbm_alone], with_sparks=False),
        _compare(setup, sparks_rows, [xgboost_alone], with_sparks=True),
    ]


def _compare(
    setup: Setup, rows: int, alone: Sequence[Callable[..., Result]], *, with_sparks: bool
) -> Comparison:
    setup.view.chapter(f"{rows:,} generated listings, {setup.folds} folds, {setup.grid} settings")
    with generated_batch(setup, rows) as batch:
        found = Comparison(batch)
        found.run(setup, partial(whole_job, setup, batch))
        features = take_features(setup, batch)
        for contestant in alone:
            found.run(setup, partial(contestant, setup, features))
        if with_sparks:
            found.run(setup, partial(whole_job_on_sparks_boosting, setup, batch))
    return found


def show(found: Comparison, view: View) -> None:
    """Show what came of a comparison."""
    rows = found.results[0].rows if found.results else 0
    view.table(
        f"{found.batch.rows:,} listings, {rows:,} of them to learn from; RMSE of rows held out, where "
        f"{dollars(found.batch.best_rmse)} is the best possible",
        report.COMPARED,
        report.comparison(found.results),
    )
    for job in found.results:
        if job.contestant == WHOLE_JOB:
            view.table(
                "The whole job by steps", ("step", "seconds"), report.steps([report.step_columns(job)])
            )
    for one in found.results:
        view.fact(f"{one.contestant}: {one.command} ({one.version})")
