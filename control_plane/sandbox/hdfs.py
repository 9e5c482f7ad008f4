"""HDFS: a NameNode and a DataNode, spoken to by WebHDFS."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import requests
from hdfs import InsecureClient
from hdfs.util import HdfsError

from control_plane.sandbox import class_data
from control_plane.sandbox.artifacts import HADOOP
from control_plane.sandbox.jvm import Program
from control_plane.sandbox.machine import Host

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from control_plane.sandbox.jvm import Jvm
    from control_plane.sandbox.processes import ManagedProcess

FOLDERS = ("/batches", "/train-sets", "/quarantine")

_SERVERS = "org.apache.hadoop.hdfs.server"
_HEAP_MB = 160
_FORMAT_HEAP_MB = 96
_LIVE_NODES = "Hadoop:service=NameNode,name=FSNamesystemState"


class Hdfs:
    """One NameNode, one DataNode, one replica of everything; any user may write anywhere."""

    name = "hdfs"
    ports = ("hdfs", "hdfs_rpc", "hdfs_data", "hdfs_data_http", "hdfs_data_ipc")

    def __init__(
        self, jvm: Jvm, ports: Mapping[str, int], names: Host | None = None, data: Host | None = None
    ) -> None:
        self._jvm = jvm
        self._name_host = names or Host()
        self._data_host = data or Host()
        self._ports = ports
        self._names = jvm.layout.data("hdfs-names")
        self._blocks = jvm.layout.data("hdfs-blocks")
        self.url = f"http://{self._name_host.name}:{ports['hdfs']}"
        self._format: ManagedProcess | None = None
        self.name_node = jvm.server(name_node(), *self._options())
        self.data_node = jvm.server(data_node(), *self._options())

    @property
    def processes(self) -> list[ManagedProcess]:
        """What runs now, or may."""
        return [*([self._format] if self._format else []), self.data_node, self.name_node]

    def prepare(self) -> None:
        """Begin to format a fresh home's name folder."""
        if not (self._names / "current" / "VERSION").exists():
            program = name_node()
            options = (*self._options(), "-format", "-force", "-nonInteractive")
            self._format = self._jvm.tool(program, program.main, *options, heap_mb=_FORMAT_HEAP_MB)
            self._format.start()

    def start(self, timeout_s: float) -> None:
        """Start both nodes, once the folder is formatted."""
        self.wait_until_formatted(timeout_s)
        self.name_node.start()
        self.data_node.start()

    def wait_until_formatted(self, timeout_s: float) -> None:
        """Wait for what :meth:`prepare` began."""
        if self._format:
            self._format.wait_until_done(timeout_s)
            self._format = None

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until the NameNode knows its DataNode and has left safe mode; make the standing folders."""
        self.name_node.wait_until_ready(self._has_data_node, timeout_s)
        client = InsecureClient(self.url, user="hdfs", timeout=timeout_s)
        self.name_node.wait_until_ready(lambda: _folders_exist(client), timeout_s)

    def _has_data_node(self) -> bool:
        if self.data_node.poll() is not None:  # it says why in its own log: report it as what failed
            self.data_node.wait_until_ready(lambda: False, timeout_s=0)
        try:
            answer = requests.get(f"{self.url}/jmx", params={"qry": _LIVE_NODES}, timeout=2)
            beans = answer.json()["beans"]
        except (requests.RequestException, ValueError, KeyError):
            return False
        return bool(beans) and int(beans[0].get("NumLiveDataNodes", 0)) > 0

    def _properties(self) -> dict[str, object]:
        names, data = self._name_host, self._data_host

        def at(host: str, port: str) -> str:
            return f"{host}:{self._ports[port]}"

        return {
            "fs.defaultFS": f"hdfs://{at(names.name, 'hdfs_rpc')}",
            "dfs.namenode.rpc-bind-host": names.listens,
            "dfs.namenode.http-bind-host": names.listens,
            "hadoop.tmp.dir": self._jvm.layout.scratch,
            "dfs.namenode.name.dir": self._names.as_uri(),
            "dfs.namenode.http-address": at(names.name, "hdfs"),
            "dfs.datanode.data.dir": self._blocks.as_uri(),
            "dfs.datanode.address": at(data.listens, "hdfs_data"),
            "dfs.datanode.http.address": at(data.listens, "hdfs_data_http"),
            "dfs.datanode.ipc.address": at(data.listens, "hdfs_data_ipc"),
            "dfs.datanode.hostname": data.name,
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.permissions.enabled": "false",
            "dfs.replication": 1,
            "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
            "dfs.namenode.safemode.extension": 0,
            # A writer that died keeps its file locked for a minute, not for twenty.
            "dfs.namenode.lease-hard-limit-sec": 60,
            # Both nodes start at once, so the DataNode calls before the NameNode answers.
            "ipc.client.connect.retry.interval": 100,
            "ipc.client.connect.max.retries": 600,
            "dfs.heartbeat.interval": 1,
            "dfs.namenode.handler.count": 4,
            "dfs.datanode.handler.count": 4,
        }

    def _options(self) -> list[str]:
        return [f"-D{key}={value}" for key, value in self._properties().items()]


def name_node() -> Program:
    """Return the server of names, which also is the one of WebHDFS."""
    return _node("hdfs-namenode", f"{_SERVERS}.namenode.NameNode")


def data_node() -> Program:
    """Return the server of blocks."""
    return _node("hdfs-datanode", f"{_SERVERS}.datanode.DataNode")


def _node(name: str, main: str) -> Program:
    return Program(name, main, HADOOP, _HEAP_MB, more_jars=(_web_folders(),), quick_start=True)


def _web_folders() -> Path:
    """Return a jar of the (empty) folders of the web pages, without which Hadoop's web servers do not start.

    The pages themselves are part of the distribution and of no published jar but a 60 MB one.
    """
    jar = class_data.folder() / "webapps.jar"
    if not jar.exists():
        unfinished = jar.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(unfinished, "w") as file:
            for folder in ("webapps/", "webapps/hdfs/", "webapps/datanode/", "webapps/static/"):
                file.writestr(folder, "")
        unfinished.replace(jar)
    return jar


def _folders_exist(client: InsecureClient) -> bool:
    try:
        for folder in FOLDERS:
            client.makedirs(folder, permission="1777")
    except (HdfsError, requests.RequestException):  # safe mode, until the DataNode has reported its blocks
        return False
    return True
