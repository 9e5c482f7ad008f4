"""How the demo tells its story: chapters, work with a clock, tables; plain lines in a pipe."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console


class View:
    """Writes to ``console``; everything that is told goes through here."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        if self.console.is_terminal:
            self.console.print()
            self.console.print(Rule(Text(title, style="bold"), align="left"))
        else:
            self.console.print(f"== {title}")

    def fact(self, text: str, *, style: str = "") -> None:
        """Tell one thing that happened."""
        self.console.print(Text(f"  {text}", style=style), soft_wrap=True)

    def problem(self, text: str) -> None:
        """Tell one thing that went wrong."""
        self.fact(f"✘ {text}", style="bold red")

    @contextmanager
    def work(self, description: str, total: float | None = None) -> Iterator[Callable[[float, str], None]]:
        """Show work going on; the yielded function takes how much is done and what is being done now.

        With a ``total`` it is a bar, without a clock that runs. In a pipe it is a line when it is over.
        """
        begun = time.monotonic()
        if self.console.is_terminal:
            with self._progress(total) as progress:
                task = progress.add_task(description, total=total, now="")
                yield lambda done, now: progress.update(task, completed=done, now=now)
        else:
            yield lambda _done, _now: None
        self.fact(f"✔ {description} ({time.monotonic() - begun:.1f} s)", style="green")

    def _progress(self, total: float | None) -> Progress:
        bar = [BarColumn(bar_width=30)] if total is not None else []
        clock = TimeElapsedColumn()
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *bar,
            clock,
            TextColumn("[dim]{task.fields[now]}"),
            console=self.console,
            transient=True,
        )

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table: the first column to the left, figures to the right."""
        table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(table)
