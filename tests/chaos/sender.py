"""Requests, prices and garbage on ``listings``, at rates that faults raise, and where each came to stand."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException, Producer

from control_plane.topics import LISTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from confluent_kafka import KafkaError, Message

_TICK_S = 0.005
_PRICE_EVERY = 10  # requests
_DELIVERED_S = 120.0

#: A garbage record's key and value.
_Record = tuple[bytes | None, bytes | None]


class Sender:
    """Sends while its context lasts; then waits until the broker has it all, for two minutes at most."""

    def __init__(
        self, kafka: str, listings: Sequence[dict[str, str]], *, run: str, seed: int, rate: float
    ) -> None:
        self.sent: dict[tuple[int, int], str] = {}  # by (partition, offset): the request id
        self.failures: list[str] = []
        self._listings = listings
        self._run = run
        self._drawn = random.Random(seed)
        self._rate = rate
        self._garbage_rate = 0.0
        self._produced = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)
        # No request of its own is lost or doubled on the way in, whatever happens to the broker.
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "linger.ms": 0,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "queue.buffering.max.messages": 1_000_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if undelivered := self._producer.flush(_DELIVERED_S):
            self.failures.append(f"{undelivered} records did not reach the broker")

    @property
    def is_settled(self) -> bool:
        """Whether the broker has all that was sent so far."""
        return len(self._producer) == 0

    @contextmanager
    def flood(self, times: float) -> Iterator[None]:
        """Send requests so many times as fast."""
        self._rate *= times
        try:
            yield
        finally:
            self._rate /= times

    @contextmanager
    def garbage(self, rate: float) -> Iterator[None]:
        """Send besides so many records a second of which none is a request that gets a price."""
        self._garbage_rate += rate
        try:
            yield
        finally:
            self._garbage_rate -= rate

    def _send(self) -> None:
        requests = garbage = 0.0
        before = time.monotonic()
        while not self._stop.wait(_TICK_S):
            now = time.monotonic()
            requests += (now - before) * self._rate
            garbage += (now - before) * self._garbage_rate
            before = now
            while requests >= 1:
                self._request()
                requests -= 1
            while garbage >= 1:
                self._produce("", *junk(self._drawn))
                garbage -= 1
            self._producer.poll(0)

    def _request(self) -> None:
        request_id = f"{self._run}-{self._produced}"
        listing = self._listings[self._produced % len(self._listings)]
        value = {"kind": "request", "request_id": request_id, "listing": listing}
        self._produce(request_id, request_id.encode(), json.dumps(value).encode())
        if self._produced % _PRICE_EVERY == 0:
            price = {"kind": "price", "request_id": request_id, "price": 1.0}
            self._producer.produce(LISTINGS, key=request_id, value=json.dumps(price))
        self._produced += 1

    def _produce(self, request_id: str, key: bytes | None, value: bytes | None) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failures.append(f"{request_id or 'garbage'} did not reach the broker: {error.str()}")
            else:
                self.sent[message.partition() or 0, message.offset() or 0] = request_id

        try:
            self._producer.produce(LISTINGS, key=key, value=value, on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            self.failures.append(f"{request_id or 'garbage'} was not sent: {error}")


def junk(drawn: random.Random) -> _Record:
    """Return a record that is no price and gets no price: each kind of damage about equally often."""
    key = drawn.choice([None, b"", b"key", drawn.randbytes(20), bytes(range(32)) * drawn.randint(1, 1_000)])
    whole = b'{"kind": "request", "request_id": "garbage", "listing": {"make_name": "Ford"}}'
    kinds: list[Callable[[], bytes | None]] = [
        lambda: None,
        lambda: b"",
        lambda: drawn.randbytes(drawn.randint(1, 2_000)),
        lambda: whole[: drawn.randint(1, len(whole) - 1)],
        lambda: whole,  # without the required columns
        lambda: b"[" * drawn.randint(1, 5_000),
        lambda: (
            b'{"kind": "price", "request_id": "garbage", "price": %s}'
            % drawn.choice([b"NaN", b"1e999", b'"1"'])
        ),
        lambda: b'{"kind": "request", "request_id": %s}' % drawn.choice([b"7", b'""', b"null", b'"\\ud800"']),
        lambda: whole + b"}" * drawn.randint(1, 3),
        lambda: b'{"kind": "request", "request_id": "%s"}' % (b"x" * drawn.randint(60_000, 70_000)),
        lambda: b'{"listing": ' + b'{"a": ' * 100 + b"1" + b"}" * 101,
    ]
    return key, drawn.choice(kinds)()
