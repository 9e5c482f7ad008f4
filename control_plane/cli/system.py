"""The whole system at once: here, as a story, and what is in its way."""

from pathlib import Path
from typing import Annotated

import typer

from control_plane.cli.options import AsJson

_WIDTH = 140  # of the demo's tables in a pipe


def up(home: Annotated[Path | None, typer.Option(help="Where its state is kept.")] = None) -> None:
    """Run the whole system until Ctrl-C, and print where its servers are once it is ready.

    Example: pipelines up > servers.env
    """
    from control_plane.settings import Home, load
    from control_plane.up import run

    run(home or load(Home).pipelines_home)


def demo(
    rows: Annotated[int, typer.Option(min=1_000, help="Listings to generate.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated listings and of the split.")] = 7,
    dataset: Annotated[
        Path | None, typer.Option(help="A CSV file of the dataset's form, in place of generated listings.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second.")] = 25,
    keep: Annotated[bool, typer.Option(help="Leave everything running at the end, until Ctrl-C.")] = False,
    home: Annotated[Path | None, typer.Option(help="Where its state is kept, anew each time.")] = None,
) -> None:
    """Tell the whole job from the first batch to live errors, on servers of its own.

    Example: pipelines demo --keep
    """
    from rich.console import Console

    from control_plane.demo import command
    from control_plane.demo.story import Options
    from control_plane.demo.view import View
    from control_plane.settings import Home, load

    home = home or load(Home).pipelines_home / "demo"
    told = command.Demo(home, rows, seed, dataset, keep, Options(rate=rate))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    raise typer.Exit(command.run(told, View(console)))


def doctor(as_json: AsJson = False) -> None:
    """Say what is in the way of the system on this machine, and in the servers that are named.

    Exit status 1 when something is.

    Example: pipelines doctor --json
    """
    from control_plane.doctor.command import run

    raise typer.Exit(run(as_json=as_json))
