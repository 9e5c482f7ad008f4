"""How the job's time and memory grow with its rows, its heap being the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.training import report
from tests.benchmarks.training.contestants import whole_job
from tests.benchmarks.training.setup import generated_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.demo.view import View
    from tests.benchmarks.training.results import Result
    from tests.benchmarks.training.setup import Setup


@dataclass(frozen=True)
class Growth:
    """What came of the job at each of ``sizes``, which are generated rows; it ends with the first failure.

    ``best`` are the best possible RMSE, dollars.
    """

    sizes: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What failed or grew too fast."""
        grown = report.growing_too_fast(self.sizes, self.results) if self.results else []
        return [*self.failures, *grown]


def grow(setup: Setup, sizes: Sequence[int]) -> Growth:
    """Run the job on so many rows, one size after the other."""
    found = Growth()
    for rows in sorted(sizes):
        setup.view.chapter(f"{rows:,} generated listings, {setup.folds} folds, {setup.grid} settings")
        try:
            with generated_batch(setup, rows) as batch:
                found.results.append(whole_job(setup, batch))
        except BenchmarkError as error:
            setup.view.problem(str(error))
            found.failures.append(str(error))
            break
        found.sizes.append(rows)
        found.best.append(batch.best_rmse)
        setup.view.fact(f"✔ {rows:,} rows: {found.results[-1].usage.seconds:,.1f} s")
    return found


def show(found: Growth, setup: Setup, view: View) -> None:
    """Show what came of it."""
    if not found.results:
        return
    view.table(
        f"The whole job on more and more rows, with a heap of {setup.memory};"
        " RMSE of rows held out, of the test, the best possible",
        report.GROWN,
        report.growth(found.sizes, found.results, found.best),
    )
    view.table(
        "Seconds by step",
        ("step", *(f"{size:,}" for size in found.sizes)),
        report.steps([report.step_columns(result) for result in found.results]),
    )
    view.fact(f"{found.results[0].command} ({found.results[0].version})")
