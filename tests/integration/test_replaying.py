from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from control_plane.replaying import Chosen, replay
from control_plane.settings import Topics
from control_plane.topics import LISTINGS, ensure_topics

RATE = 10_000


@pytest.fixture
def kafka(sandbox):
    ensure_topics(sandbox.kafka_bootstrap_servers, Topics())
    return sandbox.kafka_bootstrap_servers


@pytest.fixture
def send(kafka):
    """Append records to partition 1 of listings, and return where the first is and when it was recorded."""

    def records(*values):
        placed = []
        producer = Producer({"bootstrap.servers": kafka})
        for value in values:
            producer.produce(LISTINGS, value=value, partition=1, on_delivery=lambda _, m: placed.append(m))
        assert producer.flush(30) == 0
        return placed[0].offset(), placed[0].timestamp()[1]

    return records


def read(kafka, partition, first, count):
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(LISTINGS, partition, first)])
    try:
        return [consumer.poll(30) for _ in range(count)]
    finally:
        consumer.close()


def request(request_id):
    return json.dumps({"kind": "request", "request_id": request_id, "listing": {"year": 2017.0}}).encode()


def price(request_id):
    return json.dumps({"kind": "price", "request_id": request_id, "price": 1.0}).encode()


def test_requests_of_a_range_come_again_in_their_order_under_new_ids(kafka, send):
    run = uuid.uuid4().hex
    first, _ = send(
        request(f"{run}-0"), price(f"{run}-0"), b"not JSON", request(f"{run}-1"), request(f"{run}-2")
    )
    chosen = Chosen(partition=1, first=first, end=first + 4)
    sent = replay(kafka, chosen, rate=RATE, now=datetime.now(UTC))
    assert (sent.replayed, sent.prices, sent.passed_over) == (2, 1, 1)
    assert sent.ranges == [{"partition": 1, "first": first, "end": first + 4}]
    found = read(kafka, 1, first + 5, 2)
    assert [message.key().decode() for message in found] == [f"{run}-0{sent.suffix}", f"{run}-1{sent.suffix}"]
    assert [json.loads(message.value())["request_id"] for message in found] == [
        m.key().decode() for m in found
    ]
    assert b"2017.0" in found[0].value()


def test_requests_since_a_moment_come_again_and_a_replay_never_meets_its_own(kafka, send):
    run = uuid.uuid4().hex
    send(request(f"{run}-before"))
    first, at_ms = send(request(f"{run}-0"), request(f"{run}-1"))
    since = datetime.fromtimestamp(at_ms / 1000, UTC)
    later = replay(kafka, Chosen(first=since + timedelta(hours=1)), rate=RATE, now=datetime.now(UTC))
    assert (later.replayed, later.ranges) == (0, [])
    sent = replay(kafka, Chosen(partition=1, first=since), rate=RATE, now=datetime.now(UTC))
    [one] = sent.ranges
    assert (one["first"] <= first, one["end"], sent.replayed) == (True, first + 2, first + 2 - one["first"])
    keys = [message.key().decode() for message in read(kafka, 1, first + 2, sent.replayed)]
    assert keys[-2:] == [f"{run}-0{sent.suffix}", f"{run}-1{sent.suffix}"]
