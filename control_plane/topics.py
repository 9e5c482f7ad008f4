"""The topics: their names, which others write against, and how they are made where they are missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from control_plane import events
from control_plane.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.settings import Topics

log = structlog.get_logger()

LISTINGS = "listings"
PREDICTIONS = "predictions"
PREDICTIONS_SHADOW = "predictions.shadow"
OUTCOMES = "outcomes"
METRICS = "metrics"
MONITORING_TICKS = "monitoring.ticks"
CONTROL_BATCHES = events.BATCHES
CONTROL_MODELS = events.MODELS
CONTROL_SERVERS = events.SERVERS

# The consumer group whose offsets of listings say how far serving has got; no consumer ever joins it.
MARKER_GROUP = "serving-marker"
SHADOW_MARKER_GROUP = "serving-shadow-marker"

_PATIENCE_S = 30.0
_ASK_S = 5.0
_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Topic:
    """A topic as the project wants it."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def wanted(settings: Topics) -> list[Topic]:
    """Return every topic of the system.

    The data topics take the broker's clock (LogAppendTime): one clock for latency and for event time.
    The control topics are the audit log: kept forever, and one partition each, so all events have one order.
    """
    data = {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(int(settings.retention_days * _DAY_MS)),
    }
    forever = {"retention.ms": "-1"}
    return [
        Topic(LISTINGS, settings.partitions, data),
        Topic(PREDICTIONS, settings.partitions, data),
        Topic(PREDICTIONS_SHADOW, settings.partitions, data),
        Topic(OUTCOMES, settings.partitions, data),
        Topic(METRICS, 1, data),
        Topic(MONITORING_TICKS, 1, data),
        Topic(CONTROL_BATCHES, 1, forever),
        Topic(CONTROL_MODELS, 1, forever),
        Topic(CONTROL_SERVERS, 1, {"cleanup.policy": "compact"}),
    ]


def ensure_topics(bootstrap_servers: str, settings: Topics) -> list[str]:
    """Make the missing topics and return their names. Topics that exist are left as they are.

    Raises as :func:`create` does.
    """
    new = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=settings.replication,
            config={**topic.config, "min.insync.replicas": str(settings.min_insync_replicas)},
        )
        for topic in wanted(settings)
    ]
    made = create(bootstrap_servers, new)
    if made:
        log.info("topics.created", topics=made)
    return made


def create(bootstrap_servers: str, new: Sequence[NewTopic]) -> list[str]:
    """Make those topics that are not there and return their names.

    Raises :class:`confluent_kafka.KafkaException` when the broker is away for half a minute, or refuses.
    """
    return patiently(lambda: _created(bootstrap_servers, new), timeout_s=_PATIENCE_S)


def _created(bootstrap_servers: str, new: Sequence[NewTopic]) -> list[str]:
    # With a new client each time: one that has met a broker without a controller, as it is for a moment after
    # a pause, goes on waiting for one.
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 3})
    made = []
    for name, future in admin.create_topics(list(new), request_timeout=_ASK_S).items():
        try:
            future.result()
            made.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return made
