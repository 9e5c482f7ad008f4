from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.doctor.topics import judged
from control_plane.settings import Topics
from control_plane.topic_facts import TopicFacts
from control_plane.topics import wanted

DEMANDED = Topics()
DEFAULTS = {"retention.ms": "604800000", "cleanup.policy": "delete", "min.insync.replicas": "1"}
FACTS = {topic.name: TopicFacts(topic.partitions, 1, DEFAULTS | topic.config) for topic in wanted(DEMANDED)}


def judge(name, *, partitions=None, **config):
    facts = FACTS[name]
    changed = {key.replace("_", "."): value for key, value in config.items()}
    altered = replace(facts, partitions=partitions or facts.partitions, config=facts.config | changed)
    return judged(FACTS | {name: altered}, DEMANDED)


def test_topics_as_the_system_makes_them_are_as_they_must_be():
    (found,) = judged(FACTS, DEMANDED)
    assert found.line() == (
        "ok       topics    all 9 are there, requests and answers in 2 partitions, kept 7 days"
    )


def test_missing_topics_are_named_with_the_command_that_makes_them():
    (found,) = judged({name: facts for name, facts in FACTS.items() if name != "metrics"}, DEMANDED)
    assert (found.found, found.remedy) == ("there is no metrics", "make what is missing: pipelines topics")


@pytest.mark.parametrize(
    ("name", "altered", "said"),
    [
        ("listings", {"partitions": 3}, "listings has 3 partitions and predictions 2"),
        ("predictions", {"retention_ms": "1000"}, "predictions keeps 1000 ms"),
        ("predictions", {"cleanup_policy": "compact"}, "predictions is compacted"),
        (
            "outcomes",
            {"message_timestamp_type": "CreateTime"},
            "outcomes has message.timestamp.type=CreateTime",
        ),
        ("control.batches", {"partitions": 2}, "control.batches has 2 partitions"),
        ("control.models", {"retention_ms": "1000"}, "control.models does not keep its events for ever"),
        ("control.models", {"cleanup_policy": "compact"}, "control.models does not keep its events for ever"),
    ],
)
def test_what_breaks_the_contract_is_a_problem(name, altered, said):
    (found,) = judge(name, **altered)
    assert (found.level, said in found.found, bool(found.remedy)) == ("problem", True, True)


def test_a_topic_of_servers_that_grows_is_worth_a_look():
    (found,) = judge("control.servers", cleanup_policy="delete")
    assert found.level == "warning"


def test_fewer_replicas_than_the_settings_demand_are_a_problem():
    found = judged(FACTS, Topics(replication=3, min_insync_replicas=2))
    assert [finding.level for finding in found] == ["problem", "problem"]
