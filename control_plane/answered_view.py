"""``pipelines audit predictions``: reads both topics to their ends of now, and says what was counted."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from control_plane.answered import Counts, PartitionAudit
from control_plane.audit import LogUnavailableError
from control_plane.topic_ranges import batches, ranges, reader
from control_plane.topics import LISTINGS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

_MEANING = {
    "requests": "records of listings that are no well-formed prices",
    "prices": "managers' prices, which get no answer",
    "answered": "requests with an answer, each counted once",
    "rejected": "of those, without a price",
    "waiting": "requests without an answer yet, none after them has one",
    "lost": "requests without an answer though a later one has",
    "repeated": "second answers, which the rule for reading discards",
    "out_of_order": "first answers that came before one to an earlier request",
    "stray": "answers to no request of their partition",
    "aged_out": "answers to requests that the topic does not hold any more",
    "newer": "answers to requests that came after this began",
    "unreadable": "records of predictions that are no answers",
}


def run(bootstrap_servers: str, *, as_json: bool) -> int:
    """Print the counts: JSON, a table on a terminal, plain lines in a pipe. Returns the exit status.

    It is 0 when every request that is not waiting has its answer, in order; else 1.
    Raises :class:`LogUnavailableError` when the brokers do not answer within 30 s.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        work = progress.add_task("reading listings and predictions", total=None)
        counts, epochs = audited(
            bootstrap_servers,
            lambda read, total: progress.update(work, advance=read, total=total),
        )
    if as_json:
        told = asdict(counts) | {"epochs": sorted(epochs), "broken": counts.broken}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    elif sys.stdout.isatty():
        Console().print(_table(counts))
    else:
        sys.stdout.writelines(f"{name}  {count}\n" for name, count in asdict(counts).items())
    if not as_json:
        verdict = "; ".join(counts.broken) or "every answered request has exactly one answer, in order"
        sys.stdout.write(f"{verdict} ({len(epochs)} epochs)\n")
    return 1 if counts.broken else 0


def _table(counts: Counts) -> Table:
    shown = Table("what", "count", "meaning", title="Requests and answers", title_justify="left")
    shown.columns[1].justify = "right"
    for name, count in asdict(counts).items():
        shown.add_row(name.replace("_", " "), f"{count:,}", _MEANING[name])
    return shown


def audited(bootstrap_servers: str, told: Callable[[int, int], object]) -> tuple[Counts, set[int]]:
    """Return the counts of all partitions, and the epochs that answered.

    ``told`` is told how many records were read since it was told last, and how many there are in all.
    """
    counts, epochs = Counts(), set[int]()
    try:
        with reader(bootstrap_servers) as consumer:
            asked = ranges(consumer, LISTINGS)
            # Looked up later: all that is answered of the former is here, up to what is being answered now.
            answers = ranges(consumer, PREDICTIONS)
            if len(asked) != len(answers):
                raise LogUnavailableError(
                    f"{LISTINGS} has {len(asked)} partitions and {PREDICTIONS} has {len(answers)}: an answer "
                    "lies in its request's partition, so there must be as many"
                )
            total = sum(one.end - one.first for one in (*asked, *answers))
            for requests, replies in zip(asked, answers, strict=True):
                audit = PartitionAudit(requests.partition, requests.first, requests.end)
                for messages in batches(consumer, requests):
                    for message in messages:
                        audit.take_listing(message.offset() or 0, message.value())
                    told(len(messages), total)
                for messages in batches(consumer, replies):
                    for message in messages:
                        audit.take_prediction(message.value())
                    told(len(messages), total)
                counts += audit.close()
                epochs |= audit.epochs
    except KafkaException as error:
        raise LogUnavailableError(f"{bootstrap_servers} cannot be read: {error.args[0].str()}") from error
    return counts, epochs
