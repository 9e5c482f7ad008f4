"""Asking a broker that is about to know: after its start, or after a topic was made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_CONTROLLER,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,  # of a topic just made, by what the client knew before
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,  # the same, before the question was sent
    KafkaError._WAIT_COORD,
    KafkaError._ALL_BROKERS_DOWN,
}
_AGAIN_S = 0.05


def passes(error: KafkaException) -> bool:
    """Whether the error goes away by itself."""
    cause: KafkaError = error.args[0]
    return cause.code() in _PASSING or cause.retriable()


def patiently(ask: Callable[[], T], timeout_s: float = 60) -> T:
    """Return what ``ask`` returns, asking again while Kafka's error is one that passes by itself."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if not passes(error) or time.monotonic() > until:
                raise
        time.sleep(_AGAIN_S)
