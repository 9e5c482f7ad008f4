"""A TCP proxy between the servers and their broker: it cuts, delays and holds back."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from control_plane.sandbox.machine import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 65_536


class Proxy:
    """Passes on what comes at ``port`` to ``target``, in a thread of its own while the context lasts."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._is_cut = False
        self._delay_s = 0.0
        self._ends: set[asyncio.StreamWriter] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve, until the context ends."""
        listens = Future[None]()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(listens)), name="proxy", daemon=True)
        thread.start()
        listens.result()
        try:
            yield
        finally:
            self._do(self._over.set)
            thread.join()

    async def _run(self, listens: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._over, self._flows = asyncio.Event(), asyncio.Event()
        self._flows.set()
        async with await asyncio.start_server(self._serve, HOST, self._port):
            listens.set_result(None)
            await self._over.wait()
            self._abort()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Reset every connection and let no new one come about."""
        self._do(lambda: setattr(self, "_is_cut", True))
        self._do(self._abort)
        try:
            yield
        finally:
            self._do(lambda: setattr(self, "_is_cut", False))

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Hold every piece back for so long; pieces of one connection wait for each other."""
        self._do(lambda: setattr(self, "_delay_s", delay_s))
        try:
            yield
        finally:
            self._do(lambda: setattr(self, "_delay_s", 0.0))

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Pass nothing on and lose nothing: all of it comes afterwards, that of the dead included."""
        self._do(self._flows.clear)
        try:
            yield
        finally:
            self._do(self._flows.set)

    def reset(self) -> None:
        """Reset every connection once."""
        self._do(self._abort)

    def _do(self, act: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(act)

    def _abort(self) -> None:
        for end in self._ends.copy():
            end.transport.abort()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        ends = {to_client}
        try:
            if not self._is_cut:
                server, to_server = await asyncio.open_connection(HOST, self._target)
                ends.add(to_server)
                self._ends |= ends
                await asyncio.gather(self._pass(client, to_server), self._pass(server, to_client))
        except OSError:  # there is no broker
            pass
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        # Either way by itself: what a dead server has sent still arrives, as it does in a network.
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
