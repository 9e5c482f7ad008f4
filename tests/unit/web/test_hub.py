from __future__ import annotations

import asyncio
from typing import Any

import pytest

from control_plane.web import hub
from control_plane.web.hub import Hub, TooManyReadersError, frame


def test_a_frame_is_one_event_whatever_it_says():
    assert frame("errors", {"reason": "a\n\nb\r"}) == b'event: errors\ndata: {"reason":"a\\n\\nb\\r"}\n\n'


class Sections:
    """What changed at each look."""

    def __init__(self, *looks: dict[str, Any]) -> None:
        self.looks = list(looks)

    def changed(self, _now: float) -> dict[str, Any]:
        return self.looks.pop(0) if self.looks else {}


def test_who_comes_late_is_sent_everything_and_then_only_what_changes():
    async def run() -> list[bytes]:
        told = Hub(Sections({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 3}).changed)
        told._look()
        told._look()
        stream = told.stream()
        seen = [await anext(stream) for _ in range(3)]
        told._look()
        seen.append(await anext(stream))
        told.close()
        seen += [event async for event in stream]
        return seen

    assert asyncio.run(run()) == [
        b"retry: 1000\n\n",
        frame("a", 1),
        frame("b", 2),
        frame("a", 3),
    ]


def test_no_more_readers_than_can_be_served(monkeypatch):
    monkeypatch.setattr(hub, "MOST_READERS", 1)

    async def run() -> None:
        told = Hub(Sections({"a": 1}).changed)
        told._look()
        first = told.stream()
        await anext(first)
        with pytest.raises(TooManyReadersError):
            told.stream()
        await first.aclose()  # type: ignore[attr-defined]
        told.stream()

    asyncio.run(run())
