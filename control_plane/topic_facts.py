"""Topics as the brokers have them, and what must hold of them before a server may promise anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from control_plane.audit import LogUnavailableError
from control_plane.topics import LISTINGS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.settings import Topics

_FOREVER = -1


@dataclass(frozen=True)
class TopicFacts:
    """A topic as the brokers have it; ``replication`` is that of the partition with the fewest replicas."""

    partitions: int
    replication: int
    config: dict[str, str]

    @property
    def retention_ms(self) -> float:
        """How long records are kept, infinite where that is for ever."""
        kept = int(self.config["retention.ms"])
        return float("inf") if kept == _FOREVER else kept


def read(bootstrap_servers: str, names: Sequence[str], timeout_s: float = 30.0) -> dict[str, TopicFacts]:
    """Return the facts of the topics by name; one that is not there is left out.

    Raises :class:`LogUnavailableError` when the brokers do not answer within ``timeout_s``.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    try:
        there = admin.list_topics(timeout=timeout_s).topics
        found = [name for name in names if name in there]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
        configs = admin.describe_configs(resources, request_timeout=timeout_s) if resources else {}
        described = {resource.name: future.result() for resource, future in configs.items()}
    except KafkaException as error:
        raise LogUnavailableError(
            f"Kafka at {bootstrap_servers} does not answer: {error.args[0].str()}"
        ) from error
    return {
        name: TopicFacts(
            partitions=len(there[name].partitions),
            replication=min((len(one.replicas) for one in there[name].partitions.values()), default=0),
            config={entry.name: entry.value for entry in described[name].values()},
        )
        for name in found
    }


def violations(facts: dict[str, TopicFacts], demanded: Topics, output: str = PREDICTIONS) -> list[str]:
    """Return a sentence for everything about requests and answers that does not hold. Pure."""
    if absent := [name for name in (LISTINGS, output) if name not in facts]:
        return [f"no topic {' and no topic '.join(absent)}: the control plane makes them when it starts"]
    listings, answers = facts[LISTINGS], facts[output]
    problems = []
    if listings.partitions != answers.partitions:
        problems.append(
            f"{LISTINGS} has {listings.partitions} partitions and {output} {answers.partitions}: "
            "an answer goes to its request's partition, so give both the same number"
        )
    if answers.retention_ms < listings.retention_ms:
        problems.append(
            f"{output} keeps {answers.config['retention.ms']} ms and {LISTINGS} "
            f"{listings.config['retention.ms']} ms: answers must outlast their requests, raise retention.ms"
        )
    if answers.replication < demanded.replication:
        problems.append(
            f"{output} has {answers.replication} replicas and TOPICS_REPLICATION demands "
            f"{demanded.replication}"
        )
    if (in_sync := int(answers.config["min.insync.replicas"])) < demanded.min_insync_replicas:
        problems.append(
            f"{output} has min.insync.replicas={in_sync} and TOPICS_MIN_INSYNC_REPLICAS demands "
            f"{demanded.min_insync_replicas}"
        )
    if "compact" in answers.config["cleanup.policy"]:
        problems.append(f"{output} is compacted, which would drop answers: set cleanup.policy=delete")
    return problems
