"""A Kafka broker and its controller in one process (KRaft)."""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from control_plane.sandbox.artifacts import KAFKA
from control_plane.sandbox.jvm import Program
from control_plane.sandbox.machine import HOST, Host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control_plane.sandbox.jvm import Jvm
    from control_plane.sandbox.processes import ManagedProcess

BROKER = Program("kafka", "kafka.Kafka", KAFKA, heap_mb=256)

_FORMAT_HEAP_MB = 96


class KafkaBroker:
    """One broker; its topics are made by others (``control_plane.topics``), never by accident.

    ``outside`` (host:port) is the address that it names to clients that come by the port ``kafka_outside``:
    they cannot look up the name by which its neighbours know it.
    """

    name = "kafka"
    ports = ("kafka", "kafka_controller")

    def __init__(
        self, jvm: Jvm, ports: Mapping[str, int], host: Host | None = None, outside: str | None = None
    ) -> None:
        host = host or Host()
        self._data = jvm.layout.data("kafka")
        self._config = jvm.layout.config("kafka.properties")
        self._jvm = jvm
        self.address = f"{host.name}:{ports['kafka']}"
        self._controller = f"{HOST}:{ports['kafka_controller']}"
        self._listens = {"PLAINTEXT": f"{host.listens}:{ports['kafka']}", "CONTROLLER": self._controller}
        self._advertises = {"PLAINTEXT": self.address}
        if outside:
            self._listens["OUTSIDE"] = f"{host.listens}:{ports['kafka_outside']}"
            self._advertises["OUTSIDE"] = outside
        self._format: ManagedProcess | None = None
        self.broker = jvm.server(BROKER, str(self._config))

    @property
    def processes(self) -> list[ManagedProcess]:
        """What runs now, or may."""
        return [*([self._format] if self._format else []), self.broker]

    def prepare(self) -> None:
        """Write the configuration and begin to format a fresh home's log folder."""
        self._config.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        if not (self._data / "meta.properties").exists():
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            # In one word with its option: one in 64 begins with a dash and would be taken for an option.
            arguments = ("format", f"--cluster-id={cluster_id}", "--config", str(self._config))
            self._format = self._jvm.tool(
                BROKER, "kafka.tools.StorageTool", *arguments, heap_mb=_FORMAT_HEAP_MB
            )
            self._format.start()

    def start(self, timeout_s: float) -> None:
        """Start the broker, once the folder is formatted."""
        self.wait_until_formatted(timeout_s)
        self.broker.start()

    def wait_until_formatted(self, timeout_s: float) -> None:
        """Wait for what :meth:`prepare` began."""
        if self._format:
            self._format.wait_until_done(timeout_s)
            self._format = None

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until the broker answers a client and leads its partitions."""
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        self.broker.wait_until_ready(lambda: _answers(client), timeout_s)

    def _properties(self) -> dict[str, object]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{self._controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": _joined("://", self._listens),
            "advertised.listeners": _joined("://", self._advertises),
            "listener.security.protocol.map": _joined(":", dict.fromkeys(self._listens, "PLAINTEXT")),
            "log.dirs": self._data,
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 4,
            # The default reserves 128 MB of heap for compacting far larger logs.
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "controlled.shutdown.enable": "false",  # there is no other broker to hand over to
        }


def _joined(separator: str, listeners: Mapping[str, str]) -> str:
    return ",".join(f"{name}{separator}{value}" for name, value in listeners.items())


def _answers(client: AdminClient) -> bool:
    try:
        return bool(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return False
