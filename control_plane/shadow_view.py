"""``pipelines shadow --compare``: what was served, what the shadow said, and what the cars got."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from control_plane import audit, events, prices, records
from control_plane.audit import LogUnavailableError
from control_plane.progress import working
from control_plane.shadow import ShadowError
from control_plane.shadowed import Comparison, Errors, Pairs
from control_plane.topic_ranges import batches, ranges, reader
from control_plane.topics import LISTINGS, PREDICTIONS, PREDICTIONS_SHADOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Consumer


def run(bootstrap_servers: str, *, as_json: bool) -> None:
    """Print how the last shadow's answers compare with those that were served."""
    version = _last(audit.read(bootstrap_servers, events.MODELS))
    with working("comparing the answers"):
        found = compared(bootstrap_servers, version)
    if as_json:
        sys.stdout.write(json.dumps({"model_version": version} | asdict(found), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(version, found))


def lines(version: int, found: Comparison) -> Iterator[str]:
    """Yield the comparison in sentences."""
    yield f"model version {version} as a shadow: {found.both:,} requests that were also served"
    if found.difference is not None and found.differing is not None and found.most is not None:
        yield (
            f"prices: {found.differing:.1%} differ by more than 1 %; the median difference is "
            f"{found.difference:.1%}, the greatest {found.most:.1%}"
        )
    if found.rejected_otherwise:
        yield f"{found.rejected_otherwise:,} requests were rejected by one of the two alone"
    if found.served and found.shadow:
        yield f"errors over the {found.priced:,} cars whose real price came:"
        yield f"  served  {_said(found.served)}"
        yield f"  shadow  {_said(found.shadow)}"
    else:
        yield "no real price of them came yet, so nobody knows which is better"


def _said(errors: Errors) -> str:
    return f"RMSE ${errors.rmse:,.0f}, MAE ${errors.mae:,.0f}, bias ${errors.bias:+,.0f}"


def compared(bootstrap_servers: str, version: int) -> Comparison:
    """Compare the answers of ``version``. Raises :class:`LogUnavailableError` when the brokers are away."""
    pairs, actual = Pairs(version), dict[str, float]()
    try:
        with reader(bootstrap_servers) as consumer:
            for answer in _answers(consumer, PREDICTIONS_SHADOW):
                pairs.take_shadow(answer)
            for answer in _answers(consumer, PREDICTIONS):
                pairs.take_served(answer)
            for value in _values(consumer, LISTINGS):
                if prices.is_price(value):
                    told = json.loads(value)
                    actual.setdefault(told["request_id"], float(told["price"]))
    except KafkaException as error:
        raise LogUnavailableError(f"{bootstrap_servers} cannot be read: {error.args[0].str()}") from error
    return pairs.compared(actual)


def _last(story: list[events.Recorded]) -> int:
    asked = [record.event.version for record in story if isinstance(record.event, events.ShadowRequested)]
    if not asked:
        raise ShadowError("there never was a shadow: pipelines shadow VERSION asks for one")
    return asked[-1]


def _answers(consumer: Consumer, topic: str) -> Iterator[records.Answer]:
    for value in _values(consumer, topic):
        with suppress(records.RecordError):  # `pipelines audit predictions` counts what is no answer
            yield records.answer(value)


def _values(consumer: Consumer, topic: str) -> Iterator[bytes]:
    for held in ranges(consumer, topic):
        for messages in batches(consumer, held):
            yield from (message.value() or b"" for message in messages)
