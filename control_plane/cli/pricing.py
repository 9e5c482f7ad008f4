"""Prices of listings: asked for, explained, and asked for once more."""

from pathlib import Path
from typing import Annotated

import typer

from control_plane.cli.connection import brokers, servers
from control_plane.cli.options import AsJson


def predict(
    file: Annotated[
        Path,
        typer.Argument(help="Listings: a JSON object, one a line, or CSV; - is standard input."),
    ] = Path("-"),
    patience: Annotated[float, typer.Option(min=1, help="Seconds without an answer to give up after.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Price listings through the running system; exit status 1 when one of them got no price.

    Example: echo '{"make_name": "Honda", "model_name": "Civic", "year": 2017}' | pipelines predict
    """
    from control_plane import predict_view

    raise typer.Exit(predict_view.run(brokers, file, patience_s=patience, as_json=as_json))


def explain(
    file: Annotated[
        Path, typer.Argument(help="A listing: a JSON object, or CSV with one row; - is standard input.")
    ] = Path("-"),
    version: Annotated[int | None, typer.Option(min=1, help="The one that serves, unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Price one listing, and say which of its attributes moved the price by how much.

    Example: echo '{"make_name": "Honda", "model_name": "Civic", "year": 2017}' | pipelines explain
    """
    from control_plane import explain_view

    explain_view.run(servers(), file, version, as_json=as_json)


def replay(
    partition: Annotated[
        int | None, typer.Option(min=0, help="One partition of listings; all unless given.")
    ] = None,
    first: Annotated[int | None, typer.Option(min=0, help="The offset to begin at.")] = None,
    end: Annotated[int | None, typer.Option(min=0, help="The offset to end before.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="In place of --first: 2026-01-31T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="In place of --end.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second, at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Send a range of requests again, under new ids (<old>/replay-<time>); prices are not sent again.

    Example: pipelines replay --since 2026-01-31T12:00:00Z --until 2026-01-31T12:05:00Z
    """
    from control_plane import replay_view

    chosen = replay_view.chosen(partition, first=first, end=end, since=since, until=until)
    replay_view.run(brokers(), chosen, rate=rate, as_json=as_json)
