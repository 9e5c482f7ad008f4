"""The parts of the system, each a process that runs until it is told to end."""

from enum import StrEnum
from typing import Annotated

import typer

from control_plane.cli.connection import brokers, servers


class Server(StrEnum):
    """The servers that ``pipelines server`` runs."""

    KAFKA = "kafka"
    HDFS_NAMENODE = "hdfs-namenode"
    HDFS_DATANODE = "hdfs-datanode"
    MLFLOW = "mlflow"


def control_plane() -> None:
    """Run the control plane: it trains on each batch and rolls out each model.

    Example: KAFKA_BOOTSTRAP_SERVERS=broker:9092 pipelines control-plane
    """
    from control_plane.app import run

    run()


def web() -> None:
    """Serve the page that shows it all, and prices a car: at WEB_HOST and WEB_PORT.

    Example: WEB_PORT=8080 pipelines web
    """
    from control_plane.settings import Home, load
    from control_plane.web.server import run
    from control_plane.web.settings import Web

    run(servers(), load(Web), load(Home).pipelines_home)


def exporter() -> None:
    """Tell Prometheus what the topics say, at EXPORTER_HOST and EXPORTER_PORT; until Ctrl-C.

    Example: EXPORTER_PORT=9464 pipelines exporter
    """
    from control_plane.exporter import command
    from control_plane.exporter.settings import ExporterSettings
    from control_plane.settings import load

    command.run(servers(), load(ExporterSettings))


def server(name: Annotated[Server, typer.Argument(help="Which one.")]) -> None:
    """Run one of the servers that the system needs in a container of its own.

    Example: SERVER_HOST=kafka pipelines server kafka
    """
    from control_plane.sandbox.container import run

    run(name)


def topics() -> None:
    """Make the topics that are missing, by TOPICS_PARTITIONS, TOPICS_REPLICATION and the like.

    Example: TOPICS_REPLICATION=3 pipelines topics
    """
    from control_plane.settings import Topics, load
    from control_plane.topics import ensure_topics

    wanted = load(Topics)
    made = ensure_topics(brokers(), wanted)
    typer.echo(f"made: {', '.join(made)}" if made else "all topics are there")
