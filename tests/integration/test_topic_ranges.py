from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from control_plane.audit import LogUnavailableError
from control_plane.topic_ranges import Range, ranges, reader

PARTITIONS = 60  # so many that the broker does not lead all of them yet when it is asked


@pytest.fixture
def just_made(sandbox):
    admin = AdminClient({"bootstrap.servers": sandbox.kafka_bootstrap_servers})
    topic = f"just-made-{uuid.uuid4().hex}"
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    yield topic
    admin.delete_topics([topic])[topic].result()


def test_a_topic_just_made_is_asked_until_its_partitions_have_leaders(sandbox, just_made):
    with reader(sandbox.kafka_bootstrap_servers) as consumer:
        held = ranges(consumer, just_made)
    assert held == [Range(just_made, number, 0, 0) for number in range(PARTITIONS)]


def test_a_topic_that_is_not_there_is_said_at_once(sandbox):
    with (
        reader(sandbox.kafka_bootstrap_servers) as consumer,
        pytest.raises(LogUnavailableError, match="there is no topic nowhere"),
    ):
        ranges(consumer, "nowhere")
