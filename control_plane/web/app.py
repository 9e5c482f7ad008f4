"""The page as an ASGI application: its files, its stream of events, and its form."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from control_plane.web import guard, pricing
from control_plane.web.explanations import Explanations
from control_plane.web.feed import Feed
from control_plane.web.hub import Hub, TooManyReadersError, frame
from control_plane.web.pricing import PREFIX, Pricing, Requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from control_plane.records import Answer
    from control_plane.settings import Servers
    from control_plane.web.settings import Web

STATIC = Path(__file__).with_name("static")
_REFUSALS = {
    guard.ForeignError: 403,
    guard.TooLargeError: 413,
    pricing.ListingError: 422,
    pricing.BusyError: 429,
    pricing.UndeliveredError: 503,
}


@dataclass(frozen=True)
class Page:
    """The parts of the page while it runs."""

    feed: Feed
    hub: Hub
    looking: asyncio.Task[None]
    prices: Pricing

    @property
    def well(self) -> bool:
        """Whether it still reads and still tells; a Kafka that is away is no illness of the page."""
        return self.feed.alive and not self.looking.done()


@asynccontextmanager
async def running(servers: Servers, settings: Web) -> AsyncIterator[Page]:
    """Run the parts of the page."""
    loop = asyncio.get_running_loop()
    explanations = Explanations(servers, settings.explainer_idle_s)
    prices = Pricing(Requests(servers.kafka_bootstrap_servers).publish, explanations)

    def on_answer(answer: Answer, answered_ms: int) -> None:
        if (answer.request_id or "").startswith(PREFIX):
            loop.call_soon_threadsafe(prices.take, answer, answered_ms)

    feed = Feed(servers.kafka_bootstrap_servers, settings.history_s, on_answer)
    hub = Hub(feed.changed)
    feed.start()
    looking = asyncio.create_task(hub.run())
    try:
        yield Page(feed, hub, looking, prices)
    finally:
        looking.cancel()
        await asyncio.gather(asyncio.to_thread(feed.stop), asyncio.to_thread(explanations.stop))


class _Endpoint:
    """An ASGI application as a route's endpoint: a bare function would be taken for a handler of requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def create_app(page: Page, settings: Web, others: Mapping[str, ASGIApp] | None = None) -> Starlette:
    """Return the application; ``others`` answer at paths of their own, such as ``/metrics``.

    Those and ``/healthz`` are asked for by programs, which call this process by any name; the page itself
    answers to ``WEB_ALLOWED_HOSTS`` alone, lest a foreign name that leads here read it.
    """
    middleware = [
        Middleware(guard.SafeHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=settings.allowed_hosts, www_redirect=False),
    ]
    guarded = Starlette(routes=_routes(page), middleware=middleware)
    beside = [Route(path, _Endpoint(app)) for path, app in (others or {}).items()]
    return Starlette(routes=[_health(page), *beside, Mount("/", app=guarded)])


def _health(page: Page) -> Route:
    async def health(_: Request) -> Response:
        return PlainTextResponse("ok") if page.well else PlainTextResponse("it reads no more", 503)

    return Route("/healthz", health)


def _routes(page: Page) -> list[Route | Mount]:
    async def events(_: Request) -> Response:
        try:
            return _stream(page.hub.stream())
        except TooManyReadersError:
            return _refusal("too many pages are open", 503)

    async def ask(request: Request) -> Response:
        try:
            guard.check_same_origin(request)
            listing = pricing.listing_of(await guard.bounded_body(request))
            quote = await page.prices.ask(listing)
        except tuple(_REFUSALS) as error:
            return _refusal(str(error), _REFUSALS[type(error)])
        where = f"api/prices/{quote.request_id}/events"
        return JSONResponse({**quote.shown(), "events": where}, 202, headers={"location": where})

    async def follow(request: Request) -> Response:
        quote = page.prices.find(request.path_params["request_id"])
        if quote is None:
            return _refusal("this price is not known any more", 404)
        told = page.prices.follow(quote, page.hub.closing)
        return _stream(frame("price", shown) async for shown in told)

    return [
        Route("/api/events", events),
        Route("/api/prices", ask, methods=["POST"]),
        Route("/api/prices/{request_id}/events", follow),
        Mount("/", app=StaticFiles(directory=STATIC, html=True)),
    ]


def _stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _refusal(reason: str, status: int) -> JSONResponse:
    return JSONResponse({"error": reason}, status)
