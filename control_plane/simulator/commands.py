"""``pipelines generate`` and ``pipelines split``: progress on a terminal, and what came of it in lines."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from control_plane.simulator.generator import generate
from control_plane.simulator.split import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class SourceError(ValueError):
    """What was asked for cannot be generated or split; the message says what can."""


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing elsewhere; call what this yields with each number of new rows."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda rows: progress.advance(task, rows)


def run_generate(rows: int, seed: int, out: Path, parts: int | None) -> None:
    """Generate listings, and say where they are and what the best possible model would err."""
    try:
        with _progress("listings", rows) as on_rows:
            made = generate(rows, seed, out, parts, on_rows=on_rows)
    except ValueError as error:
        raise SourceError(str(error)) from error
    best, over_all = made.best, made.best_with_wrong
    sys.stdout.write(
        f"{made.rows:,} listings in {len(made.parts)} parts in {out}\n"
        f"{made.bytes:,} bytes in {made.seconds:.1f} s\n"
        f"among them {made.duplicates:,} duplicates and {made.wrong_prices:,} wrong prices\n"
        f"best possible: RMSE ${best.rmse:,.0f}, MAE ${best.mae:,.0f} over right prices;"
        f" RMSE ${over_all.rmse:,.0f}, MAE ${over_all.mae:,.0f} over all\n"
    )


def run_split(csv: Path, out: Path, batches: int, test_share: float, seed: int) -> None:
    """Split the file, and say how many listings went where."""
    with _progress("records", None) as on_rows:
        made = split(csv, out, batches, test_share, seed, on_rows=on_rows)
    sys.stdout.writelines(f"{out / name}: {rows:,} listings\n" for name, rows in made.batches.items())
    sys.stdout.write(f"{out / 'test'}: {made.test:,} listings for requests\n")
    sys.stdout.write(
        f"{made.records:,} records in {made.seconds:.1f} s; {made.irregular:,} of another number of fields\n"
    )
