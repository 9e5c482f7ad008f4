"""The floor: a consumer and a producer of librdkafka with no model between them; each answer on its own.

``python -m tests.benchmarks.serving.relay SERVERS REQUESTS ANSWERS`` until SIGTERM.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from control_plane.events import iso


def main() -> None:
    """Relay for ever."""
    kafka, requests, answers = sys.argv[1:]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "relay", "fetch.wait.max.ms": 50})
    producer = Producer(
        {"bootstrap.servers": kafka, "linger.ms": 0, "queue.buffering.max.messages": 1_000_000}
    )
    partitions = consumer.list_topics(requests, timeout=30).topics[requests].partitions
    consumer.assign([TopicPartition(requests, number, OFFSET_BEGINNING) for number in partitions])
    sys.stderr.write("ready\n")
    while True:
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            asked = iso(datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC))
            value = json.dumps({"requested_at": asked}).encode()
            producer.produce(answers, value, message.key(), message.partition() or 0)
        producer.poll(0)


if __name__ == "__main__":
    main()
