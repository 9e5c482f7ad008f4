"""Sends to every browser what changed on the page: server-sent events, one a section, each the whole section.

A browser that comes, or comes back, is sent everything; one that is slow skips what is out of date. So
nothing is queued for anybody.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

EVERY_S = 1.0
MOST_READERS = 100


class TooManyReadersError(RuntimeError):
    """As many browsers as can be served are connected already."""


def frame(event: str, data: Any) -> bytes:
    """Return a server-sent event; ``data`` as JSON has no line breaks, which would end it."""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class Hub:
    """Looks every second for what changed: ``changed(now)`` returns those sections by name."""

    def __init__(self, changed: Callable[[float], dict[str, Any]]) -> None:
        self._changed = changed
        self._frames: dict[str, tuple[int, bytes]] = {}
        self._number = 0
        self._readers = 0
        self._news = asyncio.Event()
        self.closing = asyncio.Event()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(EVERY_S)

    def _look(self) -> None:
        self._number += 1
        for name, section in self._changed(time.time()).items():
            event = frame(name, section)
            if self._frames.get(name, (0, b""))[1] != event:
                self._frames[name] = self._number, event
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def close(self) -> None:
        """End every stream."""
        self.closing.set()
        self._wake()

    def stream(self) -> AsyncIterator[bytes]:
        """Return the events for one browser. Raises :class:`TooManyReadersError`."""
        if self._readers >= MOST_READERS:
            raise TooManyReadersError
        return self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        self._readers += 1
        try:
            yield b"retry: 1000\n\n"
            sent = 0
            while not self.closing.is_set():
                news = self._news  # taken before looking, so that nothing is missed in between
                looked, frames = self._number, list(self._frames.values())
                for number, event in frames:
                    if number > sent:
                        yield event
                sent = looked
                await news.wait()
        finally:
            self._readers -= 1
