"""What must hold of the topics before a server may promise anything; each violation has its own sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from control_plane.topics import LISTINGS, PREDICTIONS

if TYPE_CHECKING:
    from control_plane.settings import Topics

_TIMEOUT_S = 30.0
_FOREVER = -1


class PreconditionError(RuntimeError):
    """The topics do not allow the promise; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class TopicFacts:
    """A topic as the broker has it."""

    partitions: int
    replication: int
    config: dict[str, str]


def check(bootstrap_servers: str, demanded: Topics, output: str = PREDICTIONS) -> int:
    """Return the number of partitions of ``listings``, or raise :class:`PreconditionError`."""
    facts = read(bootstrap_servers, output)
    if problems := violations(facts, demanded, output):
        raise PreconditionError("; ".join(problems))
    return facts[LISTINGS].partitions


def read(bootstrap_servers: str, output: str) -> dict[str, TopicFacts]:
    """Return what the broker has of the two topics; one that is not there is left out."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    try:
        there = admin.list_topics(timeout=_TIMEOUT_S).topics
        names = [name for name in (LISTINGS, output) if name in there]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        configs = admin.describe_configs(resources, request_timeout=_TIMEOUT_S) if resources else {}
        described = {resource.name: future.result() for resource, future in configs.items()}
    except KafkaException as error:
        raise PreconditionError(f"Kafka at {bootstrap_servers} does not answer: {error}") from error
    return {
        name: TopicFacts(
            partitions=len(there[name].partitions),
            replication=min((len(one.replicas) for one in there[name].partitions.values()), default=0),
            config={entry.name: entry.value for entry in described[name].values()},
        )
        for name in names
    }


def violations(facts: dict[str, TopicFacts], demanded: Topics, output: str = PREDICTIONS) -> list[str]:
    """Return a sentence for everything that does not hold. Pure."""
    if absent := [name for name in (LISTINGS, output) if name not in facts]:
        return [f"no topic {' and no topic '.join(absent)}: the control plane makes them when it starts"]
    listings, predictions = facts[LISTINGS], facts[output]
    problems = []
    if listings.partitions != predictions.partitions:
        problems.append(
            f"{LISTINGS} has {listings.partitions} partitions and {output} {predictions.partitions}: "
            "an answer goes to its request's partition, so give both the same number"
        )
    if _retention(predictions) < _retention(listings):
        problems.append(
            f"{output} keeps {predictions.config['retention.ms']} ms and {LISTINGS} "
            f"{listings.config['retention.ms']} ms: answers must outlast their requests, raise retention.ms"
        )
    if predictions.replication < demanded.replication:
        problems.append(
            f"{output} has {predictions.replication} replicas and TOPICS_REPLICATION demands "
            f"{demanded.replication}"
        )
    if (in_sync := int(predictions.config["min.insync.replicas"])) < demanded.min_insync_replicas:
        problems.append(
            f"{output} has min.insync.replicas={in_sync} and TOPICS_MIN_INSYNC_REPLICAS demands "
            f"{demanded.min_insync_replicas}"
        )
    if "compact" in predictions.config["cleanup.policy"]:
        problems.append(f"{output} is compacted, which would drop answers: set cleanup.policy=delete")
    return problems


def _retention(topic: TopicFacts) -> float:
    kept = int(topic.config["retention.ms"])
    return float("inf") if kept == _FOREVER else kept
