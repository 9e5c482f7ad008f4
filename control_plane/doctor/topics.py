"""Whether the topics are what the contract says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control_plane.doctor.findings import Finding, ok, problem, warning
from control_plane.topic_facts import violations
from control_plane.topics import CONTROL_SERVERS, LISTINGS, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from control_plane.settings import Topics
    from control_plane.topic_facts import TopicFacts

_CHECK = "topics"
_DAY_MS = 24 * 3600 * 1000
# What each topic must have as it is made; anything else about it may be changed.
_FIXED = {"message.timestamp.type"}


def judged(facts: Mapping[str, TopicFacts], demanded: Topics) -> list[Finding]:
    """Return what is wrong with the topics, or that nothing is."""
    topics = {topic.name: topic for topic in wanted(demanded)}
    if absent := [name for name in topics if name not in facts]:
        return [
            problem(_CHECK, f"there is no {', no '.join(absent)}", "make what is missing: pipelines topics")
        ]
    found = [problem(_CHECK, *_parts(sentence)) for sentence in violations(dict(facts), demanded)]
    for name, topic in topics.items():
        found += _of_one(name, facts[name], topic.config)
    return found or [ok(_CHECK, _summary(facts))]


def _of_one(name: str, facts: TopicFacts, config: Mapping[str, str]) -> Iterator[Finding]:
    for key in sorted(_FIXED & set(config)):
        if facts.config.get(key) != config[key]:
            yield problem(_CHECK, f"{name} has {key}={facts.config.get(key)}", f"set it to {config[key]}")
    if config.get("retention.ms") == "-1":
        if facts.partitions != 1:
            yield problem(
                _CHECK,
                f"{name} has {facts.partitions} partitions",
                "all events need one order, so make it anew with one",
            )
        if facts.retention_ms != float("inf") or "compact" in facts.config["cleanup.policy"]:
            yield problem(
                _CHECK,
                f"{name} does not keep its events for ever",
                "it is the system's memory: set retention.ms=-1 and cleanup.policy=delete",
            )
    if name == CONTROL_SERVERS and "compact" not in facts.config["cleanup.policy"]:
        yield warning(_CHECK, f"{name} is not compacted and grows", "set cleanup.policy=compact")


def _parts(sentence: str) -> tuple[str, str]:
    found, _, remedy = sentence.partition(": ")
    return found, remedy or "alter the topic, or the setting"


def _summary(facts: Mapping[str, TopicFacts]) -> str:
    listings = facts[LISTINGS]
    kept = (
        "for ever" if listings.retention_ms == float("inf") else f"{listings.retention_ms / _DAY_MS:g} days"
    )
    return (
        f"all {len(facts)} are there, requests and answers in {listings.partitions} partitions, kept {kept}"
    )
