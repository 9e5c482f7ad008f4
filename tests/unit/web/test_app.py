from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from control_plane.web.app import create_app
from control_plane.web.settings import Web

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def metrics(scope: Scope, _receive: Receive, send: Send) -> None:
    """An ASGI application as prometheus_client makes it: a function."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"metrics at {scope['path']}".encode()})


def answer(path: str, host: str, *, well: bool = True) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a GET."""
    page: Any = SimpleNamespace(well=well)
    app = create_app(page, Web(), {"/metrics": metrics})
    said: list[Any] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()  # the request is over, and who asked stays

    async def send(message: Any) -> None:
        said.append(message)

    scope: Any = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
    }
    asyncio.run(app(scope, receive, send))
    return said[0]["status"], b"".join(part["body"] for part in said[1:])


@pytest.mark.parametrize("host", ["localhost:8080", "10.0.0.7:8080"])
def test_others_answer_at_their_paths_to_whoever_asks(host):
    assert answer("/metrics", host) == (200, b"metrics at /metrics")


def test_the_page_answers_to_its_own_names_alone():
    assert answer("/", "localhost:8080")[0] == 200
    assert answer("/", "10.0.0.7:8080")[0] == 400


def test_it_is_not_well_when_it_reads_no_more():
    assert answer("/healthz", "10.0.0.7") == (200, b"ok")
    assert answer("/healthz", "10.0.0.7", well=False) == (503, b"it reads no more")
