"""``pipelines watch``: what is new in HDFS and MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from control_plane.cli.connection import brokers, servers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from control_plane.settings import Servers


Every = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Check again and again; otherwise once.")
]


def watch_batches(every: Every = None) -> None:
    """Publish batch.arrived for each complete batch in HDFS that the log does not know.

    Example: pipelines watch batches
    """
    from control_plane import watchers

    _watch([watchers.watch_batches], every)


def watch_models(every: Every = None) -> None:
    """Publish model.registered for each version in MLflow that the log does not know.

    And model.degraded when the errors or the drift of the version that serves are beyond their bounds.

    Example: pipelines watch models --every 60
    """
    from control_plane import watchers

    _watch([watchers.watch_models, watchers.watch_quality], every)


def watch_all(every: Every = None) -> None:
    """Check batches and models.

    Example: pipelines watch all --every 3
    """
    from control_plane import watchers

    _watch([watchers.watch_batches, watchers.watch_models, watchers.watch_quality], every)


def _watch(watches: Sequence[Callable[[Servers], object]], every: float | None) -> None:
    from control_plane import watchers

    if every is None:
        brokers()
    watchers.run(watches, servers(), every)
