"""The outside world, played: listings in files, batches and requests to a running system."""

from pathlib import Path
from typing import Annotated

import typer

from control_plane.cli.connection import brokers, servers

Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same listings.")]


def generate(
    rows: Annotated[int, typer.Option(min=0, help="How many listings.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder of the CSV parts.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same listings.")] = 1,
    parts: Annotated[
        int | None, typer.Option(min=1, help="One for each 250,000 listings unless given.")
    ] = None,
) -> None:
    """Write listings in the exact form of the dataset, as CSV parts.

    Example: pipelines generate --rows 100000 --seed 7 --out listings
    """
    from control_plane.simulator.commands import run_generate

    run_generate(rows, seed, out, parts)


def split(
    csv: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The dataset, or a file of its form.")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder of the batches and the test part.")],
    batches: Annotated[int, typer.Option(min=1, help="How many batches to train on.")] = 2,
    test_share: Annotated[float, typer.Option(min=0, max=1, help="The share that requests come from.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same parts.")] = 1,
) -> None:
    """Split the real file into batches to train on and a test part for requests.

    Example: pipelines split --csv used_cars_data.csv --out parts --batches 5
    """
    from control_plane.simulator.commands import run_split

    run_split(csv, out, batches, test_share, seed)


def simulate_batch(
    batch: Annotated[str, typer.Argument(help="Its name, the folder below /batches in HDFS.")],
    rows: Annotated[int, typer.Option(min=1, help="How many listings.")] = 4_000,
    seed: Seed = 1,
) -> None:
    """Generate listings with prices and deliver them to HDFS.

    Example: pipelines simulate batch batch-003 --rows 20000 --seed 3
    """
    from control_plane.simulator.world import send_batch

    send_batch(servers(), batch, rows, seed)


def simulate_traffic(
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second.")] = 10,
    seconds: Annotated[float | None, typer.Option(min=0, help="Until SIGTERM unless given.")] = None,
    price_delay: Annotated[float, typer.Option(min=0, help="Seconds from an answer to its price.")] = 5,
    rows: Annotated[int, typer.Option(min=1, help="Listings to ask about, over and over.")] = 2_000,
    drift: Annotated[
        float,
        typer.Option(min=0, max=1, help="Dear makes, more miles, lower prices: 0 as in batches, 1 at most."),
    ] = 0,
    seed: Seed = 1,
) -> None:
    """Ask for prices, report the real ones later, and print as JSON how the answers came.

    Example: pipelines simulate traffic --rate 50 --seconds 60 --drift 0.5
    """
    from control_plane.simulator.world import send_traffic

    brokers()
    send_traffic(
        servers(),
        rate=rate,
        seconds=seconds,
        price_delay_s=price_delay,
        rows=rows,
        seed=seed,
        drift=drift,
    )
