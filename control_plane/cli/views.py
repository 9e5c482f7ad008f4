"""What has happened and how it is: the logs and topics, read and shown."""

from typing import Annotated, Literal

import typer

from control_plane.cli.connection import brokers
from control_plane.cli.options import AsJson


def status(as_json: AsJson = False) -> None:
    """Say whether all is well, what serves now, and where batches and models are.

    Example: pipelines status --json
    """
    from control_plane import status_view

    status_view.run(brokers(), as_json=as_json)


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
        raise typer.Exit(answered_view.run(brokers(), as_json=as_json))
    audit_view.run(brokers(), follow=follow, as_json=as_json)


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

    raise typer.Exit(
        recomputation_view.run(brokers(), horizon=horizon, lead=lead, grace=grace, as_json=as_json)
    )
