"""An explanation as ``pipelines explain`` shows it."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from control_plane.explaining import explainer, version_to_explain
from control_plane.listing_files import one_listing, read
from control_plane.registry import MODEL, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from control_plane.explanations import Explanation, Moved
    from control_plane.settings import Servers

_TOP = 12
_VALUE_WIDTH = 36
_MISSING = {None, "", "--", "None"}

Line = tuple[str, str, str, str]


def run(servers: Servers, file: Path, version: int | None, *, as_json: bool) -> None:
    """Explain the listing in ``file`` ("-": standard input) and print it: JSON, a table, or plain lines."""
    listing = one_listing(*read(file))
    chosen = version_to_explain(Registry(servers.mlflow_tracking_uri), version)
    with _working(f"explaining by model version {chosen}"), explainer(servers, MODEL, chosen) as process:
        explanation = process.explain(listing)
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(explanation), indent=2) + "\n")
        return
    sys.stdout.writelines(f"{line}\n" for line in head(explanation))
    if sys.stdout.isatty():
        Console().print(table(explanation))
    else:
        sys.stdout.writelines(f"{'  '.join(row)}\n" for row in rows(explanation))


@contextmanager
def _working(what: str) -> Iterator[None]:
    """Say on standard error that something goes on, on a terminal with a clock that turns."""
    console = Console(stderr=True, highlight=False)
    begun = time.monotonic()
    doing = f"{what}: Spark starts and the model is fetched, for 15 s or more"
    if console.is_terminal:
        with console.status(doing):
            yield
    else:
        console.print(doing, soft_wrap=True)
        yield
    console.print(f"{what} took {time.monotonic() - begun:.0f} s")


def head(explanation: Explanation) -> Iterator[str]:
    """Yield the lines before the table: price, interval, members, remark."""
    low, high = _dollars(explanation.low), _dollars(explanation.high)
    yield f"{_dollars(explanation.price)} ({low} to {high}), by model version {explanation.model_version}"
    members = [
        f"{name.replace('_', ' ')} {_dollars(price)} (weight {explanation.weights.get(name, 0):.2f})"
        for name, price in explanation.members.items()
    ]
    yield f"members: {', '.join(members)}"
    if explanation.remark:
        yield f"remark: {explanation.remark}"


def table(explanation: Explanation) -> Table:
    """Return what moved the price as a table."""
    shown = Table(title="What moved the price", title_justify="left", show_footer=False)
    for name in ("attribute", "value"):
        shown.add_column(name)
    for name in ("dollars", "percent"):
        shown.add_column(name, justify="right")
    *lines, last = rows(explanation)
    for line in lines:
        shown.add_row(*line)
    shown.add_section()
    shown.add_row(*last)
    return shown


def rows(explanation: Explanation) -> Iterator[Line]:
    """Yield the average listing's price, what moved it (those that did most, and the rest), and the price."""
    yield "an average listing", "", _dollars(explanation.base), ""
    shown, rest = explanation.attributes[:_TOP], explanation.attributes[_TOP:]
    for moved in shown:
        yield _name(moved), _value(moved), _signed(moved.dollars), _percent(moved.percent)
    if rest:
        dollars = sum(moved.dollars for moved in rest)
        yield "the rest", f"{len(rest)} others", _signed(dollars), _percent(_together(rest))
    yield "this listing", "", _dollars(explanation.price), ""


def _name(moved: Moved) -> str:
    return moved.attribute.removesuffix("_name").replace("_", " ")


def _value(moved: Moved) -> str:
    if moved.value in _MISSING:
        return "missing" if moved.attribute in moved.columns else ""
    text = str(moved.value)
    return text if len(text) <= _VALUE_WIDTH else f"{text[: _VALUE_WIDTH - 1]}…"


def _together(rest: tuple[Moved, ...]) -> float | None:
    """Return by how many percent all of them raised the price: percent multiply."""
    factor = 1.0
    for moved in rest:
        if moved.percent is None:
            return None
        factor *= 1 + moved.percent / 100
    return 100 * (factor - 1)


def _dollars(amount: float) -> str:
    return f"${amount:,.0f}"


def _signed(amount: float) -> str:
    return f"{'-' if amount < 0 else '+'}${abs(amount):,.0f}"


def _percent(percent: float | None) -> str:
    return "" if percent is None else f"{percent:+.1f} %"
