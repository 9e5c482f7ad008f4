"""What every answer says to the browser, and who may send a form."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing but what lies here, no inline script or style, nobody's frame.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
MOST_BYTES = 64 * 1024


class ForeignError(RuntimeError):
    """The request was made by another site's page."""


class TooLargeError(ValueError):
    """The body is larger than a listing may be."""


class SafeHeaders:
    """Adds :data:`HEADERS` to every answer; files are asked for again, and mostly have not changed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-cache")
            await send(message)

        await self._app(scope, receive, with_headers)


def check_same_origin(request: Request) -> None:
    """Raise :class:`ForeignError` unless the request comes from our own page, or from no page at all.

    Every browser says where a form was sent from; JSON besides is nothing that another site's form can send.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ForeignError("expects application/json")
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise ForeignError("sent by another site's page")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForeignError("sent by another site's page")


async def bounded_body(request: Request) -> bytes:
    """Return the body, or raise :class:`TooLargeError` without having read more than allowed."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise TooLargeError(f"a listing has at most {MOST_BYTES:,} bytes")
    return bytes(body)
