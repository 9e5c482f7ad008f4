"""The command line, by topic: the list below says in which module a command stands.

Each command only wires; what it does lives in a module of its own. Imports are in the commands, so that
``pipelines --help`` does not wait for Kafka's or MLflow's clients.
"""

from typing import Annotated

import typer

from control_plane import __version__, logs
from control_plane.cli import models, parts, pricing, system, views, watch, world
from control_plane.cli.errors import OneSentence

app = typer.Typer(
    name="pipelines",
    cls=OneSentence,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Used-car prices, end to end: train on batches, answer a stream of requests, measure live.",
    epilog="Begin with: pipelines doctor, pipelines up, pipelines status",
)
# In the order of `pipelines --help`.
app.command("up")(system.up)
app.command("doctor")(system.doctor)
app.command("generate")(world.generate)
app.command("split")(world.split)
app.command("control-plane")(parts.control_plane)
app.command("server")(parts.server)
app.command("topics")(parts.topics)
app.command("audit")(views.audit)
app.command("status")(views.status)
app.command("web")(parts.web)
app.command("train")(models.train)
app.command("backfill")(models.backfill)
app.command("replay")(pricing.replay)
app.command("predict")(pricing.predict)
app.command("explain")(pricing.explain)
app.command("exporter")(parts.exporter)
app.command("rollback")(models.rollback)
app.command("shadow")(models.shadow)
app.command("demo")(system.demo)

_watch = typer.Typer(
    no_args_is_help=True, help="Publish what has landed in HDFS and MLflow and is not yet known."
)
_watch.command("batches")(watch.watch_batches)
_watch.command("models")(watch.watch_models)
_watch.command("all")(watch.watch_all)
app.add_typer(_watch, name="watch")

_metrics = typer.Typer(no_args_is_help=True, help="The live errors.")
_metrics.command("verify")(views.metrics_verify)
app.add_typer(_metrics, name="metrics")

_simulate = typer.Typer(
    no_args_is_help=True,
    help="Play the outside world of a running system: its source of batches, its clients.",
)
_simulate.command("batch")(world.simulate_batch)
_simulate.command("traffic")(world.simulate_traffic)
app.add_typer(_simulate, name="simulate")


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


def main() -> None:
    """Run the command line."""
    app(prog_name="pipelines")
