"""Topics are made by whoever comes first, also while the broker is about to come back."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from control_plane import topics


class Client:
    """An admin client whose broker answers with the next of these; None is success."""

    answers: list[int | None]
    clients = 0

    def __init__(self, _: dict[str, str]) -> None:
        Client.clients += 1

    def create_topics(self, new, **_):
        answer = Client.answers.pop(0)
        future = Future()
        if answer is None:
            future.set_result(None)
        else:
            future.set_exception(KafkaException(KafkaError(answer)))
        return {topic.topic: future for topic in new}


@pytest.fixture(autouse=True)
def _client(monkeypatch):
    Client.clients = 0
    monkeypatch.setattr(topics, "AdminClient", Client)


def test_a_client_that_found_no_controller_is_replaced_by_a_new_one():
    Client.answers = [KafkaError._TIMED_OUT, KafkaError.NOT_CONTROLLER, None]
    assert topics.create("nowhere:1", [NewTopic("new", 1)]) == ["new"]
    assert Client.clients == 3


def test_a_topic_that_is_there_is_left_as_it_is():
    Client.answers = [KafkaError.TOPIC_ALREADY_EXISTS]
    assert topics.create("nowhere:1", [NewTopic("old", 1)]) == []


def test_a_refusal_is_told_at_once():
    Client.answers = [KafkaError.TOPIC_AUTHORIZATION_FAILED]
    with pytest.raises(KafkaException):
        topics.create("nowhere:1", [NewTopic("new", 1)])
