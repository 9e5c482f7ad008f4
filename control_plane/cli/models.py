"""What is trained and which version serves: wishes to the control plane."""

from typing import Annotated

import typer

from control_plane.cli.connection import brokers
from control_plane.cli.options import AsJson

AcceptProfile = Annotated[
    bool, typer.Option("--accept-profile", help="Take it however unlike the last accepted batch it is.")
]


def train(
    batch: Annotated[str, typer.Argument(help="Its name, the folder below /batches in HDFS.")],
    accept_profile: AcceptProfile = False,
) -> None:
    """Train anew on a batch that was trained on, failed or was refused.

    Example: pipelines train batch-003 --accept-profile
    """
    from control_plane.train import request

    [asked] = request(brokers(), batch, accept_profile=accept_profile)
    typer.echo(f"asked for a training on batch {asked.batch}; see how it goes: pipelines audit --follow")


def backfill(
    batches: Annotated[list[str], typer.Argument(help="Their names, in the order to train on them.")],
    accept_profile: AcceptProfile = False,
) -> None:
    """Train anew on several batches, one after the other; each makes a model version, which is rolled out.

    Example: pipelines backfill batch-001 batch-002 batch-003
    """
    from control_plane.train import request

    asked = request(brokers(), *batches, accept_profile=accept_profile)
    names = ", ".join(one.batch for one in asked)
    typer.echo(f"asked for {len(asked)} trainings: {names}; see how they go: pipelines audit --follow")


def rollback(
    version: Annotated[
        int | None, typer.Argument(min=1, help="The one that served before, unless given.")
    ] = None,
) -> None:
    """Bring an earlier version of the model back in front of the requests.

    Example: pipelines rollback 3
    """
    from control_plane.rollback import request

    asked = request(brokers(), version)
    typer.echo(f"asked for model version {asked.version}; see how it goes: pipelines audit --follow")


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
    if compare:
        shadow_view.run(brokers(), as_json=as_json)
    elif version is None:
        typer.echo(f"model version {shadow.stop(brokers()).version} is no shadow any more")
    else:
        shadow.start(brokers(), version)
        typer.echo(f"asked for model version {version} as a shadow; see whether it answers: pipelines status")
