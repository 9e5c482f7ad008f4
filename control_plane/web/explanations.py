"""What moved a price, asked of the process behind ``pipelines explain``, which is slow to start and large.

So there is at most one, it is started when the first explanation is asked for, answers one after the other,
and is ended when nobody has asked for a while or another model version is asked about.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from control_plane.explaining import Explainer, ExplainError, explainer
from control_plane.registry import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from control_plane.settings import Servers

log = structlog.get_logger()

MOST_WAITING = 8
_USUAL_START_S = 15.0


@dataclass(frozen=True)
class _Asked:
    listing: str
    version: int
    tell: Callable[..., None]


class Explanations:
    """A thread that explains. Use it from the event loop, which is where ``tell`` is called as well."""

    def __init__(self, servers: Servers, idle_s: float) -> None:
        self._servers = servers
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.Queue[_Asked | None] = queue.Queue(MOST_WAITING)
        self._usual_s = _USUAL_START_S
        self._thread = threading.Thread(target=self._run, name="explanations", daemon=True)
        self._thread.start()

    def ask(self, listing: str, version: int, tell: Callable[..., None]) -> None:
        """Ask what moved the price of a listing; ``tell`` is told the state, at last the explanation."""
        try:
            self._waiting.put_nowait(_Asked(listing, version, tell))
            tell(state="waiting")
        except queue.Full:
            tell(state="failed", reason=f"{MOST_WAITING} others wait for an explanation: try again later")

    def stop(self) -> None:
        """Let the process go. It ends by itself when this one does, if it has not by then."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(2)

    def _run(self) -> None:
        asked = self._waiting.get()
        while asked is not None:
            asked = self._explain_by_one(asked)

    def _explain_by_one(self, asked: _Asked) -> _Asked | None:
        """Explain with one process for as long as it is wanted; return what is asked for next."""
        following: _Asked | None = asked
        try:
            with self._process(asked) as process:
                while following is not None and following.version == asked.version:
                    self._explain(process, following)
                    if process.process.poll() is not None:
                        break  # whatever ended it, the next one gets another
                    following = self._waiting.get(timeout=self._idle_s)
                else:
                    return following
        except queue.Empty:
            log.info("web.explainer_ended", model_version=asked.version, idle_s=self._idle_s)
        except (ExplainError, OSError) as error:
            self._say(asked, state="failed", reason=str(error))
        return self._waiting.get()

    @contextmanager
    def _process(self, asked: _Asked) -> Iterator[Explainer]:
        begun = time.time()
        self._say(asked, state="starting", since=begun, usual_s=round(self._usual_s, 1))
        with explainer(self._servers, MODEL, asked.version) as process:
            self._usual_s = time.time() - begun
            log.info("web.explainer_started", model_version=asked.version, seconds=round(self._usual_s, 1))
            yield process

    def _explain(self, process: Explainer, asked: _Asked) -> None:
        self._say(asked, state="explaining", since=time.time())
        try:
            explanation = process.explain(asked.listing)
        except ExplainError as error:
            self._say(asked, state="failed", reason=str(error))
        else:
            self._say(asked, state="explained", **msgspec.to_builtins(explanation))

    def _say(self, asked: _Asked, **state: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: asked.tell(**state))
