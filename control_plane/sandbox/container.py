"""One server of the sandbox as the process of a container: ``pipelines server kafka``.

The same programs with the same settings as on one machine, but each listens to others, at the port that is
usual for it, and is reached by the name in SERVER_HOST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from control_plane.sandbox.hdfs import Hdfs
from control_plane.sandbox.java import java_home
from control_plane.sandbox.jvm import Jvm
from control_plane.sandbox.kafka import KafkaBroker
from control_plane.sandbox.layout import Layout
from control_plane.sandbox.machine import Host
from control_plane.sandbox.mlflow import MlflowServer
from control_plane.sandbox.settings import ContainerSettings
from control_plane.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from control_plane.sandbox.processes import ManagedProcess

PORTS = {
    "kafka": 9092,
    "kafka_controller": 9093,
    "kafka_outside": 9094,
    "hdfs": 9870,
    "hdfs_rpc": 8020,
    "hdfs_data": 9866,
    "hdfs_data_http": 9864,
    "hdfs_data_ipc": 9867,
    "mlflow": 5000,
}

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - the network's policies say who may come


def _kafka(jvm: Jvm, settings: ContainerSettings) -> ManagedProcess:
    broker = KafkaBroker(jvm, PORTS, Host(settings.host, _EVERYWHERE), settings.outside)
    broker.prepare()
    broker.wait_until_formatted(settings.start_timeout_s)
    return broker.broker


def _name_node(jvm: Jvm, settings: ContainerSettings) -> ManagedProcess:
    hdfs = Hdfs(jvm, PORTS, names=Host(settings.host, _EVERYWHERE))
    hdfs.prepare()
    hdfs.wait_until_formatted(settings.start_timeout_s)
    return hdfs.name_node


def _data_node(jvm: Jvm, settings: ContainerSettings) -> ManagedProcess:
    here = Host(settings.host, _EVERYWHERE)
    return Hdfs(jvm, PORTS, names=Host(settings.namenode), data=here).data_node


def _mlflow(jvm: Jvm, settings: ContainerSettings) -> ManagedProcess:
    return MlflowServer(jvm.layout, PORTS, jvm.java, Host(settings.host, _EVERYWHERE)).server


SERVERS: dict[str, Callable[[Jvm, ContainerSettings], ManagedProcess]] = {
    "kafka": _kafka,
    "hdfs-namenode": _name_node,
    "hdfs-datanode": _data_node,
    "mlflow": _mlflow,
}


def run(name: str) -> NoReturn:
    """Prepare the server's data where it is new, and become the server."""
    settings = load(ContainerSettings)
    SERVERS[name](Jvm(java_home(), Layout(settings.home)), settings).become()
