"""``pipelines metrics verify``: reads the four topics to their ends of now, computes anew, and compares."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from control_plane.audit import LogUnavailableError
from control_plane.progress import working
from control_plane.recomputation import Recomputation, Verdict
from control_plane.topic_ranges import batches, ranges, reader
from control_plane.topics import LISTINGS, METRICS, OUTCOMES, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

_SHOWN = 20


def run(bootstrap_servers: str, *, horizon: float, lead: float, grace: float, as_json: bool) -> int:
    """Print what was compared and what differs, and return the exit status: 0 when nothing differs."""
    with working("computing all errors anew"):
        found = verified(bootstrap_servers, horizon=horizon, lead=lead, grace=grace)
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(found))
    return 1 if found.differences else 0


def lines(found: Verdict) -> list[str]:
    """Return the verdict in sentences."""
    more = len(found.differences) - _SHOWN
    return [
        *found.differences[:_SHOWN],
        *([f"… and {more:,} differences more"] if more > 0 else []),
        (
            f"{found.outcomes:,} outcomes and {found.windows:,} windows compared, "
            f"{len(found.differences):,} differences; {found.pending:,} may come yet, "
            f"{found.unverifiable:,} windows cannot be compared: older than the outcomes that are kept, or "
            "from when MONITORING_SLIDE changed"
        ),
    ]


def verified(bootstrap_servers: str, *, horizon: float, lead: float, grace: float) -> Verdict:
    """Compare outcomes and windows with what answers and prices make of them; durations in seconds.

    Raises :class:`LogUnavailableError` when the brokers do not answer within 30 s.
    """
    work = Recomputation(horizon=horizon, lead=lead, now=time.time(), grace=grace)

    def outcome(message: Message) -> None:
        work.take_outcome(message.value(), message.timestamp()[1])

    takers: dict[str, Callable[[Message], None]] = {
        METRICS: lambda message: work.take_metric(message.value()),
        OUTCOMES: outcome,
        PREDICTIONS: lambda message: work.take_prediction(message.value(), message.timestamp()[1]),
        LISTINGS: lambda message: work.take_listing(message.value(), message.timestamp()[1]),
    }
    try:
        with reader(bootstrap_servers) as consumer:
            # What follows from another is looked up before it: what it follows from is then there.
            asked = {topic: ranges(consumer, topic) for topic in takers}
            for topic, take in takers.items():
                for partition in asked[topic]:
                    first = True
                    for messages in batches(consumer, partition):
                        for message in messages:
                            if first and topic == OUTCOMES and partition.first > 0:
                                work.outcomes_begin(message.timestamp()[1])
                            first = False
                            take(message)
    except KafkaException as error:
        raise LogUnavailableError(f"{bootstrap_servers} cannot be read: {error.args[0].str()}") from error
    return work.verdict()
