"""Prices asked for on the page: a request in ``listings`` each, its answer, and then what moved the price."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Producer

from control_plane import topics
from control_plane.listing_files import REQUIRED
from control_plane.web.counts import client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from control_plane.records import Answer
    from control_plane.web.explanations import Explanations

PREFIX = "web-"
KEPT = 200
MOST_UNANSWERED = 20
_DELIVERY_S = 10.0


class ListingError(ValueError):
    """What was sent is no listing that can be priced; the message says why."""


class BusyError(RuntimeError):
    """More cannot be asked for now."""


class UndeliveredError(RuntimeError):
    """The broker did not take the request; the message says why."""


def listing_of(body: bytes) -> str:
    """Return the listing in ``{"listing": {…}}`` as JSON on one line. Raises: ListingError."""
    try:
        listing = json.loads(body)["listing"]
        columns = {str(name): value for name, value in listing.items() if value not in (None, "")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ListingError('expects JSON: {"listing": {"make_name": …}}') from None
    if any(isinstance(value, dict | list) for value in columns.values()):
        raise ListingError("a column holds a text, a number, true or false")
    if missing := [name for name in REQUIRED if name not in columns]:
        raise ListingError(f"required columns are missing: {', '.join(missing)}")
    return json.dumps(columns)


@dataclass
class Quote:
    """One price asked for. ``shown`` is what the page is told of it, whenever ``changed`` is set."""

    request_id: str
    listing: str
    asked_at: float
    answer: Answer | None = None
    answered_ms: int = 0
    explanation: dict[str, Any] = field(default_factory=lambda: {"state": "waiting"})
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.explanation["state"] in {"explained", "failed", "none"}

    def tell(self, **explanation: Any) -> None:
        """Say how its explanation is doing."""
        self.explanation = explanation
        self.change()

    def change(self) -> None:
        """Wake those that follow it."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def shown(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        answer = None
        if self.answer is not None:
            late_ms = self.answered_ms - self.answer.requested_ms
            answer = {**msgspec.to_builtins(self.answer), "late_ms": late_ms}
        return {
            "request_id": self.request_id,
            "asked_at": self.asked_at,
            "answer": answer,
            "explanation": self.explanation,
            "done": self.done,
        }


class Requests:
    """Publishes requests to ``listings``."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = Producer(
            {
                **client(bootstrap_servers),
                "linger.ms": 0,
                "acks": "all",
                "message.timeout.ms": round(_DELIVERY_S * 1000),
            }
        )

    def publish(self, request_id: str, listing: str) -> None:
        """Return when the broker has the request for a price of ``listing``. Raises: UndeliveredError."""
        failures: list[str] = []
        request = f'{{"kind": "request", "request_id": "{request_id}", "listing": {listing}}}'
        self._producer.produce(
            topics.LISTINGS,
            key=request_id,
            value=request.encode(),
            on_delivery=lambda error, _: failures.append(error.str()) if error else None,
        )
        undelivered = self._producer.flush(2 * _DELIVERY_S)
        if failures or undelivered:
            raise UndeliveredError(f"Kafka did not take the request: {(failures or ['no answer'])[0]}")


class Pricing:
    """The last prices asked for, each found by the id of its request."""

    def __init__(self, publish: Callable[[str, str], None], explanations: Explanations) -> None:
        self._publish = publish
        self._explanations = explanations
        self._quotes: OrderedDict[str, Quote] = OrderedDict()

    def find(self, request_id: str) -> Quote | None:
        """Return a price asked for, if it is among the last."""
        return self._quotes.get(request_id)

    async def ask(self, listing: str) -> Quote:
        """Publish a request and return when the broker has it. Raises: BusyError, UndeliveredError."""
        if sum(quote.answer is None for quote in self._quotes.values()) >= MOST_UNANSWERED:
            raise BusyError(f"{MOST_UNANSWERED} requests of this page wait for an answer: try again later")
        quote = Quote(PREFIX + secrets.token_hex(8), listing, time.time())
        self._quotes[quote.request_id] = quote
        while len(self._quotes) > KEPT:
            self._quotes.popitem(last=False)
        try:
            await asyncio.to_thread(self._publish, quote.request_id, listing)
        except UndeliveredError:
            del self._quotes[quote.request_id]
            raise
        return quote

    def take(self, answer: Answer, answered_ms: int) -> None:
        """Take an answer; one to somebody else's request is none of ours."""
        quote = self._quotes.get(answer.request_id or "")
        if quote is None or quote.answer is not None:
            return
        quote.answer, quote.answered_ms = answer, answered_ms
        if answer.status == "rejected":
            quote.tell(state="none")
        else:
            self._explanations.ask(quote.listing, answer.model_version, quote.tell)

    async def follow(self, quote: Quote, closing: asyncio.Event) -> AsyncIterator[dict[str, Any]]:
        """Yield what is known of it, at once and whenever more is, until there is nothing more to come."""
        stop = asyncio.ensure_future(closing.wait())
        try:
            while not closing.is_set():
                changed = asyncio.ensure_future(quote.changed.wait())
                shown = quote.shown()
                yield shown
                if shown["done"]:
                    return
                await asyncio.wait({changed, stop}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            stop.cancel()
