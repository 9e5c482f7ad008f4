"""What is asked again when Kafka does not answer, and what is not."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from control_plane.patience import passes, patiently


def test_a_broker_that_is_away_passes():
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "patience", "log_level": 0})
    with pytest.raises(KafkaException) as away:
        consumer.get_watermark_offsets(TopicPartition("topic", 0), timeout=0.01)
    consumer.close()
    assert passes(away.value)


@pytest.mark.parametrize(
    "code",
    [KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError._TRANSPORT, KafkaError.NOT_CONTROLLER],
)
def test_what_passes_is_asked_again(code):
    answers = [KafkaException(KafkaError(code)), 7]

    def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, KafkaException):
            raise answer
        return answer

    assert patiently(ask) == 7


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.INVALID_REQUEST])
def test_a_refusal_is_told_at_once(code):
    def ask() -> int:
        raise KafkaException(KafkaError(code))

    with pytest.raises(KafkaException):
        patiently(ask)
