"""The command line: each command only wires; what it does lives in a module of its own.

Imports are in the commands, so that ``pipelines --help`` does not wait for Kafka's or MLflow's clients.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from control_plane import __version__, complaints, logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from control_plane.settings import Servers


class _Commands(TyperGroup):
    """Says what went wrong in one sentence; with ``--debug`` the traceback shows as well.

    The exit status is 2 for a command that was mistyped, and 1 for one that failed.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        standalone = extra.pop("standalone_mode", True)
        try:
            status = super().main(*args, **extra | {"standalone_mode": False})
        except Exception as error:
            # By what it can do: the library has moved the class of its errors of usage more than once.
            if not standalone or not hasattr(error, "format_message"):
                raise
            context: Any = getattr(error, "ctx", None)
            if type(error).__name__ == "NoArgsIsHelpError":
                typer.echo(context.get_help(), err=True)
            else:
                command = context.command_path if context else "pipelines"
                typer.echo(f"pipelines: {complaints.usage(error.format_message(), command)}", err=True)
            status = 2
        return sys.exit(status or 0) if standalone else status

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("debug") or (said := complaints.sentence(error)) is None:
                raise
            typer.echo(f"pipelines: {said}", err=True)
            raise typer.Exit(1) from error


_LOG_WIDTH = 140  # of tables in a pipe

app = typer.Typer(
    name="pipelines",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Used-car prices, end to end: train on batches, answer a stream of requests, measure live.",
)
watch = typer.Typer(
    no_args_is_help=True, help="Publish what has landed in HDFS and MLflow and is not yet known."
)
app.add_typer(watch, name="watch")
metrics = typer.Typer(no_args_is_help=True, help="The live errors.")
app.add_typer(metrics, name="metrics")
simulate = typer.Typer(
    no_args_is_help=True,
    help="Play the outside world of a running system: its source of batches, its clients.",
)
app.add_typer(simulate, name="simulate")

Every = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Check again and again; otherwise once.")
]
AcceptProfile = Annotated[
    bool, typer.Option("--accept-profile", help="Take it however unlike the last accepted batch it is.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pipelines {__version__}")
        raise typer.Exit


@app.callback()
def pipelines(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, and log more.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Set logging up for every command."""
    logs.configure("DEBUG" if debug else None)


def _servers() -> Servers:
    from control_plane.settings import Servers, load

    return load(Servers)


def _brokers() -> str:
    """Return the brokers' addresses if somebody listens there; Kafka's client would try for half a minute."""
    from control_plane.audit import LogUnavailableError
    from control_plane.reachable import complaint

    addresses = _servers().kafka_bootstrap_servers
    if why := complaint(addresses):
        raise LogUnavailableError(f"Kafka at {addresses} does not answer: {why}")
    return addresses


@app.command()
def up(home: Annotated[Path | None, typer.Option(help="Where its state is kept.")] = None) -> None:
    """Run the whole system until Ctrl-C, and print where its servers are once it is ready.

    Example: pipelines up > servers.env
    """
    from control_plane.settings import Home, load
    from control_plane.up import run

    run(home or load(Home).pipelines_home)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is in the way of the system on this machine, and in the servers that are named.

    Exit status 1 when something is. Example: pipelines doctor --json
    """
    from control_plane.doctor.command import run

    raise typer.Exit(run(as_json=as_json))


@app.command()
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


@app.command()
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


@app.command("control-plane")
def control_plane() -> None:
    """Run the control plane: it trains on each batch and rolls out each model.

    Example: KAFKA_BOOTSTRAP_SERVERS=broker:9092 pipelines control-plane
    """
    from control_plane.app import run

    run()


class Server(StrEnum):
    """The servers that ``pipelines server`` runs."""

    KAFKA = "kafka"
    HDFS_NAMENODE = "hdfs-namenode"
    HDFS_DATANODE = "hdfs-datanode"
    MLFLOW = "mlflow"


@app.command()
def server(name: Annotated[Server, typer.Argument(help="Which one.")]) -> None:
    """Run one of the servers that the system needs in a container of its own.

    Example: SERVER_HOST=kafka pipelines server kafka
    """
    from control_plane.sandbox.container import run

    run(name)


@app.command()
def topics() -> None:
    """Make the topics that are missing, by TOPICS_PARTITIONS, TOPICS_REPLICATION and the like.

    Example: TOPICS_REPLICATION=3 pipelines topics
    """
    from control_plane.settings import Topics, load
    from control_plane.topics import ensure_topics

    wanted = load(Topics)
    made = ensure_topics(_brokers(), wanted)
    typer.echo(f"made: {', '.join(made)}" if made else "all topics are there")


def _watch(watches: Sequence[Callable[[Servers], object]], every: float | None) -> None:
    from control_plane import watchers

    if every is None:
        _brokers()
    watchers.run(watches, _servers(), every)


@watch.command("batches")
def watch_batches(every: Every = None) -> None:
    """Publish batch.arrived for each complete batch in HDFS that the log does not know.

    Example: pipelines watch batches
    """
    from control_plane import watchers

    _watch([watchers.watch_batches], every)


@watch.command("models")
def watch_models(every: Every = None) -> None:
    """Publish model.registered for each version in MLflow that the log does not know.

    And model.degraded when the errors or the drift of the version that serves are beyond their bounds.

    Example: pipelines watch models --every 60
    """
    from control_plane import watchers

    _watch([watchers.watch_models, watchers.watch_quality], every)


@watch.command("all")
def watch_all(every: Every = None) -> None:
    """Check batches and models.

    Example: pipelines watch all --every 3
    """
    from control_plane import watchers

    _watch([watchers.watch_batches, watchers.watch_models, watchers.watch_quality], every)


Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same listings.")]


@simulate.command("batch")
def simulate_batch(
    batch: Annotated[str, typer.Argument(help="Its name, the folder below /batches in HDFS.")],
    rows: Annotated[int, typer.Option(min=1, help="How many listings.")] = 4_000,
    seed: Seed = 1,
) -> None:
    """Generate listings with prices and deliver them to HDFS.

    Example: pipelines simulate batch batch-003 --rows 20000 --seed 3
    """
    from control_plane.simulator.world import send_batch

    send_batch(_servers(), batch, rows, seed)


@simulate.command("traffic")
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

    _brokers()
    send_traffic(
        _servers(),
        rate=rate,
        seconds=seconds,
        price_delay_s=price_delay,
        rows=rows,
        seed=seed,
        drift=drift,
    )


@app.command()
def audit(
    of: Annotated[
        Literal["predictions"] | None,
        typer.Argument(help="Count requests and answers instead, from their topics alone."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with events as they come.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the life story of every batch and every model, or whether every request has exactly one answer.

    Example: pipelines audit --follow; pipelines audit predictions
    """
    from control_plane import answered_view, audit_view

    if of == "predictions":
        raise typer.Exit(answered_view.run(_brokers(), as_json=as_json))
    audit_view.run(_brokers(), follow=follow, as_json=as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what serves now, and where batches and models are.

    Example: pipelines status --json
    """
    from control_plane import status_view

    status_view.run(_brokers(), as_json=as_json)


@metrics.command("verify")
def metrics_verify(
    horizon: Annotated[
        float,
        typer.Option(envvar="MONITORING_PRICE_HORIZON", help="Seconds from an answer to its price, at most."),
    ] = 86_400,
    lead: Annotated[
        float,
        typer.Option(envvar="MONITORING_PRICE_LEAD", help="Seconds from a price to its answer, at most."),
    ] = 3_600,
    grace: Annotated[float, typer.Option(help="Seconds that outcomes and windows may be on their way.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Compute the live errors anew from answers and prices, and compare; exit status 1 when they differ.

    Example: pipelines metrics verify
    """
    from control_plane import recomputation_view

    brokers = _brokers()
    raise typer.Exit(
        recomputation_view.run(brokers, horizon=horizon, lead=lead, grace=grace, as_json=as_json)
    )


@app.command()
def web() -> None:
    """Serve the page that shows it all, and prices a car: at WEB_HOST and WEB_PORT.

    Example: WEB_PORT=8080 pipelines web
    """
    from control_plane.settings import Home, load
    from control_plane.web.server import run
    from control_plane.web.settings import Web

    run(_servers(), load(Web), load(Home).pipelines_home)


@app.command()
def train(
    batch: Annotated[str, typer.Argument(help="Its name, the folder below /batches in HDFS.")],
    accept_profile: AcceptProfile = False,
) -> None:
    """Train anew on a batch that was trained on, failed or was refused.

    Example: pipelines train batch-003 --accept-profile
    """
    from control_plane.train import request

    [asked] = request(_brokers(), batch, accept_profile=accept_profile)
    typer.echo(f"asked for a training on batch {asked.batch}; see how it goes: pipelines audit --follow")


@app.command()
def backfill(
    batches: Annotated[list[str], typer.Argument(help="Their names, in the order to train on them.")],
    accept_profile: AcceptProfile = False,
) -> None:
    """Train anew on several batches, one after the other; each makes a model version, which is rolled out.

    Example: pipelines backfill batch-001 batch-002 batch-003
    """
    from control_plane.train import request

    asked = request(_brokers(), *batches, accept_profile=accept_profile)
    names = ", ".join(one.batch for one in asked)
    typer.echo(f"asked for {len(asked)} trainings: {names}; see how they go: pipelines audit --follow")


@app.command()
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
    replay_view.run(_brokers(), chosen, rate=rate, as_json=as_json)


@app.command()
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

    raise typer.Exit(predict_view.run(_brokers, file, patience_s=patience, as_json=as_json))


@app.command()
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

    explain_view.run(_servers(), file, version, as_json=as_json)


@app.command()
def exporter() -> None:
    """Tell Prometheus what the topics say, at EXPORTER_HOST and EXPORTER_PORT; until Ctrl-C.

    Example: EXPORTER_PORT=9464 pipelines exporter
    """
    from control_plane.exporter import command
    from control_plane.exporter.settings import ExporterSettings
    from control_plane.settings import load

    command.run(_servers(), load(ExporterSettings))


@app.command()
def rollback(
    version: Annotated[
        int | None, typer.Argument(min=1, help="The one that served before, unless given.")
    ] = None,
) -> None:
    """Bring an earlier version of the model back in front of the requests.

    Example: pipelines rollback 3
    """
    from control_plane.rollback import request

    asked = request(_brokers(), version)
    typer.echo(f"asked for model version {asked.version}; see how it goes: pipelines audit --follow")


@app.command()
def shadow(
    version: Annotated[int | None, typer.Argument(min=1, help="Of the model.")] = None,
    off: Annotated[bool, typer.Option("--off", help="No shadow any more.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="How its answers compare with those that were served.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a version answer every request from now on to the topic predictions.shadow, and serve nobody.

    Example: pipelines shadow 3; pipelines shadow --compare; pipelines shadow --off
    """
    from control_plane import shadow, shadow_view

    if [version is not None, off, compare].count(True) != 1:
        raise typer.BadParameter("name a version, or --off, or --compare")
    brokers = _servers().kafka_bootstrap_servers
    if compare:
        shadow_view.run(brokers, as_json=as_json)
    elif version is None:
        typer.echo(f"model version {shadow.stop(brokers).version} is no shadow any more")
    else:
        shadow.start(brokers, version)
        typer.echo(f"asked for model version {version} as a shadow; see whether it answers: pipelines status")


@app.command()
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
        console.width = _LOG_WIDTH
    raise typer.Exit(command.run(told, View(console)))


def main() -> None:
    """Run the command line."""
    app(prog_name="pipelines")


if __name__ == "__main__":
    main()
