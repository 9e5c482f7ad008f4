"""What the stories on Kubernetes and on compose share: patience, a diary, and a look into the topics."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, TopicPartition

from control_plane import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 600


def until(what: str, holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until ``holds()``; an AssertionError names ``what`` did not come."""
    give_up = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < give_up, f"{what} did not come"
        time.sleep(1)


def tell(text: str) -> None:
    """Say it at once: a story takes minutes."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


class Diary:
    """When what was done, for the table at the end."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, float]] = []
        self.figures: dict[str, float] = {}

    def note(self, fault: str) -> None:
        """Write down that it happens now."""
        self.entries.append((fault, time.time()))
        tell(fault)

    def worst(self, slow: dict[str, int]) -> list[tuple[str, int]]:
        """Return for each entry the latest answer to a request between it and the next one, in ms."""
        ends = [at for _, at in self.entries[1:]] + [time.time()]
        return [
            (
                fault,
                max((late for second, late in slow.items() if at - 2 <= int(second) < end - 1), default=0),
            )
            for (fault, at), end in zip(self.entries, ends, strict=True)
        ]

    def show(self, report: dict[str, Any]) -> None:
        """Tell all of it, with what the simulator reported."""
        for name, figure in self.figures.items():
            tell(f"{figure:.1f} {name}")
        for fault, late in self.worst(report["slow"]):
            tell(f"{late:>6} ms  worst answer: {fault}" if late else f" < 250 ms  worst answer: {fault}")
        tell(json.dumps({name: value for name, value in report.items() if name != "slow"}))


def records(bootstrap_servers: str, topic: str) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yield partition, offset, key and value of every record that the topic holds now."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "story", "enable.auto.commit": False}
    )
    try:
        for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
            consumer.assign([TopicPartition(topic, number, first)])
            while consumer.position([TopicPartition(topic, number)])[0].offset < end and end > first:
                message = consumer.poll(30)
                assert message is not None, f"{topic}[{number}] stopped before its end at {end}"
                assert message.error() is None, message.error()
                yield number, message.offset(), message.key(), message.value()
    finally:
        consumer.close()


def accounts(bootstrap_servers: str) -> dict[str, int]:
    """Count from the topics alone: requests, those without an answer, and answers beyond the first."""
    asked = {
        (partition, offset)
        for partition, offset, _, value in records(bootstrap_servers, topics.LISTINGS)
        if json.loads(value)["kind"] == "request"
    }
    answers = [
        (answer["partition"], answer["offset"])
        for _, _, _, value in records(bootstrap_servers, topics.PREDICTIONS)
        for answer in [json.loads(value)]
    ]
    return {
        "requests": len(asked),
        "lost": len(asked - set(answers)),
        "twice": len(answers) - len(set(answers)),
        "unasked": len(set(answers) - asked),
    }


def prices_in_windows(bootstrap_servers: str) -> int:
    """Count the prices that the stack's windows of errors hold; a window told again counts once."""
    windows = {}
    for _, _, key, value in records(bootstrap_servers, topics.METRICS):
        found = json.loads(value)
        if found["kind"] == "error" and found["model"] == "stack":
            windows[key] = found["count"]
    return sum(windows.values())
