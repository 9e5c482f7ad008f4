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
from tests.benchmarks.training.setup import Batch, generated_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from control_plane.demo.view import View
    from tests.benchmarks.training.results import Result
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
            done = contestant()
        except BenchmarkError as error:
            self.failed(setup, error)
        else:
            self.results.append(done)
            setup.view.fact(f"✔ {done.contestant}: {done.usage.seconds:,.1f} s")

    def failed(self, setup: Setup, error: BenchmarkError) -> None:
        """Say and remember what failed."""
        setup.view.problem(str(error))
        self.failures.append(str(error))

    @property
    def problems(self) -> list[str]:
        """What failed or took too long."""
        return [*self.failures, *report.too_slow(self.batch.rows, self.results)]


def compare(setup: Setup, rows: int, sparks_rows: int) -> list[Comparison]:
    """Compare on ``rows``.

    Spark's own boosting is slower by ten times: it gets ``sparks_rows`` at most, with the whole job and
    XGBoost alone beside it on the same ones. With 0 it does not take part.
    """
    alone = [xgboost_alone, lightgbm_alone]
    if rows <= sparks_rows:
        return [_compare(setup, rows, alone, with_sparks=True)]
    found = [_compare(setup, rows, alone, with_sparks=False)]
    if sparks_rows:
        found.append(_compare(setup, sparks_rows, [xgboost_alone], with_sparks=True))
    return found


def _compare(
    setup: Setup, rows: int, alone: Sequence[Callable[..., Result]], *, with_sparks: bool
) -> Comparison:
    setup.view.chapter(f"{rows:,} generated listings, {setup.folds} folds, {setup.grid} settings")
    with generated_batch(setup, rows) as batch:
        found = Comparison(batch)
        found.run(setup, partial(whole_job, setup, batch))
        try:
            features = take_features(setup, batch)
        except BenchmarkError as error:
            found.failed(setup, error)
        else:
            for contestant in alone:
                found.run(setup, partial(contestant, setup, features))
        if with_sparks:
            found.run(setup, partial(whole_job_on_sparks_boosting, setup, batch))
    return found


def show(found: Comparison, view: View) -> None:
    """Show what came of a comparison."""
    rows = found.results[0].rows if found.results else 0
    view.table(
        f"{found.batch.rows:,} listings, {rows:,} to learn from; RMSE of rows held out",
        report.COMPARED,
        report.comparison(found.results),
    )
    view.fact(
        f"the best possible RMSE is {dollars(found.batch.best_rmse)}: how the prices were drawn is known"
    )
    jobs = [one for one in found.results if one.steps]
    columns = report.steps([report.step_columns(job) for job in jobs])
    view.table("Seconds by step", ("step", *(job.contestant for job in jobs)), columns)
    for one in found.results:
        view.fact(f"{one.contestant}: {one.command} ({one.version})")
