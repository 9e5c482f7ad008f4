"""``pipelines predict``: the prices of listings in a file, by the system that runs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from control_plane import listing_files
from control_plane.predicting import predicted
from control_plane.progress import working

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from control_plane.records import Answer

_COLUMNS = ("car", "price", "from", "to", "version", "remark")


def run(brokers: Callable[[], str], file: Path, *, patience_s: float, as_json: bool) -> int:
    """Print the price of each listing: JSON lines, a table on a terminal, plain lines in a pipe.

    ``brokers`` returns their addresses, and is asked once the file is read. Returns the exit status: 1 when a
    listing got no price.
    """
    listings = listing_files.listings(*listing_files.read(file))
    table = Table(*_COLUMNS, show_edge=False)
    for column in table.columns[1:4]:
        column.justify = "right"
    rejected = False
    answers = predicted(brokers(), listings, patience_s=patience_s)
    if sys.stdout.isatty() and not as_json:
        with working("waiting for the prices"):
            answers = iter(list(answers))
    for number, answer in answers:
        rejected |= answer.status == "rejected"
        if as_json:
            sys.stdout.write(json.dumps(msgspec.to_builtins(answer)) + "\n")
        elif sys.stdout.isatty():
            table.add_row(*row(listings[number], answer))
        else:
            sys.stdout.write("  ".join(row(listings[number], answer)).rstrip() + "\n")
    if table.row_count:
        Console().print(table)
    return 1 if rejected else 0


def row(listing: str, answer: Answer) -> tuple[str, ...]:
    """Return the car, its price, the interval's ends, the model's version, and what is to be said of it."""
    columns = json.loads(listing)
    car = " ".join(str(columns[name]) for name in ("year", "make_name", "model_name") if columns.get(name))
    prices = (_dollars(amount) for amount in (answer.price, answer.low, answer.high))
    remark = f"no price: {answer.reason}" if answer.status == "rejected" else answer.reason or ""
    return car or "a car", *prices, str(answer.model_version), remark


def _dollars(amount: float | None) -> str:
    return "-" if amount is None else f"${amount:,.0f}"
