"""That a command is at work, shown where somebody waits for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def working(doing: str) -> Iterator[None]:
    """Show on a terminal's standard error what is being done, until it is; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    # Left where it goes: rich would send what is printed meanwhile to this console, from a file too.
    with Live(
        Spinner("dots", doing), console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ):
        yield
