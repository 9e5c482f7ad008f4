"""Sending requests of ``listings`` once more, under new ids: what would be answered to them now.

They go to the partition that they came from, in their order and not faster than they are told to. Managers'
prices are not sent again: they belong to the first answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import KafkaException, Producer, TopicPartition

from control_plane import prices
from control_plane.audit import LogUnavailableError
from control_plane.patience import patiently
from control_plane.topic_ranges import Range, batches, ranges, reader
from control_plane.topics import LISTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Consumer, KafkaError, Message

_TIMEOUT_S = 30.0
_OBJECTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ReplayError(RuntimeError):
    """What was asked for cannot be sent again, or not all of it was; the message says why."""


@dataclass(frozen=True)
class Chosen:
    """Which requests: those of a partition or of all, from ``first`` to before ``end``, each if it is given.

    Both are offsets (int) or times (datetime) by the broker's clock.
    """

    partition: int | None = None
    first: int | datetime | None = None
    end: int | datetime | None = None


@dataclass
class Replay:
    """What was sent again: new ids end with ``suffix``. ``passed_over`` are records without a usable id."""

    suffix: str
    replayed: int = 0
    prices: int = 0
    passed_over: int = 0
    ranges: list[dict[str, int]] = field(default_factory=list)


def suffix(now: datetime) -> str:
    """Return what is put behind the ids of a replay, such as "/replay-20260131T120000.250Z"."""
    return f"/replay-{now.astimezone(UTC).strftime('%Y%m%dT%H%M%S')}.{now.microsecond // 1000:03d}Z"


def renamed(value: bytes | None, suffix: str) -> tuple[str, bytes] | None:
    """Return the new id and value of a request, or None for what is none or has no usable id. Pure.

    All else stays as it was written, byte for byte: a number's text is what the model reads.
    """
    try:
        record = _OBJECTS.decode(value or b"")
        kind, old = (msgspec.json.decode(record[name]) for name in ("kind", "request_id"))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError):
        return None
    if kind != "request" or not isinstance(old, str) or not old:
        return None
    new = f"{old}{suffix}"
    return new, msgspec.json.encode(record | {"request_id": msgspec.Raw(msgspec.json.encode(new))})


def within(held: Sequence[Range], chosen: Chosen) -> list[Range]:
    """Return the parts of what is ``held`` that offsets choose; those that are empty are left out. Pure.

    Raises :class:`ReplayError` for a partition that is not there.
    """
    if chosen.partition is not None and chosen.partition not in {one.partition for one in held}:
        raise ReplayError(f"{LISTINGS} has no partition {chosen.partition}; there are {len(held)}, from 0")
    cut = (
        Range(
            one.topic,
            one.partition,
            max(one.first, chosen.first if isinstance(chosen.first, int) else one.first),
            min(one.end, chosen.end if isinstance(chosen.end, int) else one.end),
        )
        for one in held
        if chosen.partition in {None, one.partition}
    )
    return [one for one in cut if one.first < one.end]


def replay(bootstrap_servers: str, chosen: Chosen, *, rate: float, now: datetime) -> Replay:
    """Send the chosen requests again, at most ``rate`` a second, and return when the brokers have them all.

    What is there when it begins is sent, so it never meets its own. Raises: ReplayError, and
    LogUnavailableError when the brokers do not answer within 30 s.
    """
    sent = Replay(suffix(now))
    failures: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 0})
    try:
        with reader(bootstrap_servers) as consumer:
            held = within(ranges(consumer, LISTINGS), chosen)
            wanted = [found for one in held if (found := _between(consumer, one, chosen)).first < found.end]
            sent.ranges = [{"partition": one.partition, "first": one.first, "end": one.end} for one in wanted]
            begun = time.monotonic()
            for key, value, partition in _renamed(_messages(consumer, wanted), sent):
                _wait(producer, begun + sent.replayed / rate)
                producer.produce(
                    LISTINGS,
                    key=key,
                    value=value,
                    partition=partition,
                    on_delivery=lambda error, _: failures.append(error) if error else None,
                )
                sent.replayed += 1
        undelivered = producer.flush(_TIMEOUT_S)
    except KafkaException as error:
        raise LogUnavailableError(f"{bootstrap_servers} does not answer: {error.args[0].str()}") from error
    if failures or undelivered:
        reason = failures[0].str() if failures else f"no answer in {_TIMEOUT_S:.0f} s"
        raise ReplayError(
            f"{len(failures) + undelivered} of {sent.replayed} requests did not arrive: {reason}"
        )
    return sent


def _between(consumer: Consumer, one: Range, chosen: Chosen) -> Range:
    """Cut a range by the times that were chosen, if they were."""

    def offset(moment: Any, otherwise: int) -> int:
        if not isinstance(moment, datetime):
            return otherwise
        place = TopicPartition(one.topic, one.partition, round(moment.timestamp() * 1000))
        [found] = patiently(lambda: consumer.offsets_for_times([place], timeout=_TIMEOUT_S), _TIMEOUT_S)
        return one.end if found.offset < 0 else found.offset  # a time after the last record has none

    first, end = offset(chosen.first, one.first), offset(chosen.end, one.end)
    return Range(one.topic, one.partition, max(one.first, first), min(one.end, end))


def _messages(consumer: Consumer, wanted: Sequence[Range]) -> Iterator[Message]:
    for one in wanted:
        for messages in batches(consumer, one):
            yield from messages


def _renamed(messages: Iterator[Message], sent: Replay) -> Iterator[tuple[str, bytes, int]]:
    for message in messages:
        value = message.value()
        if prices.is_price(value):
            sent.prices += 1
        elif (found := renamed(value, sent.suffix)) is None:
            sent.passed_over += 1
        else:
            yield *found, message.partition() or 0


def _wait(producer: Producer, due: float) -> None:
    """Serve the producer until it is time for the next request."""
    while (left := due - time.monotonic()) > 0:
        producer.poll(min(left, 0.1))
