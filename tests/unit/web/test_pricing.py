from __future__ import annotations

import asyncio
import json
import queue
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.explaining import ExplainError
from control_plane.explanations import Explanation
from control_plane.records import Answer
from control_plane.settings import Servers
from control_plane.web import explanations, pricing
from control_plane.web.explanations import Explanations
from control_plane.web.pricing import ListingError, Quote, listing_of

CAR = {"make_name": "Honda", "model_name": "Civic", "year": "2017"}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def body(listing: Any) -> bytes:
    return json.dumps({"listing": listing}).encode()


class TestListing:
    def test_what_is_empty_is_left_out_and_the_rest_is_on_one_line(self):
        listing = listing_of(
            body(CAR | {"trim_name": "", "mileage": None, "description": "a\nb", "is_new": False})
        )
        assert json.loads(listing) == CAR | {"description": "a\nb", "is_new": False}
        assert "\n" not in listing

    @pytest.mark.parametrize(
        "sent",
        [b"", b"\xff", b"[]", b"{}", b'"x"', body(None), body([CAR]), body("x"), b"[" * 100_000],
    )
    def test_what_is_no_listing_is_refused(self, sent):
        with pytest.raises(ListingError, match="expects JSON"):
            listing_of(sent)

    def test_a_column_holds_a_value(self):
        with pytest.raises(ListingError, match="a text, a number, true or false"):
            listing_of(body(CAR | {"major_options": ["Navigation System"]}))

    def test_what_serving_would_reject_is_said_at_once(self):
        with pytest.raises(ListingError, match="columns are missing: model_name, year"):
            listing_of(body({"make_name": "Honda", "year": ""}))


def answer(request_id: str, **parts: Any) -> Answer:
    fields: dict[str, Any] = {
        "status": "predicted",
        "price": 20_000.0,
        "low": 17_000.0,
        "high": 24_000.0,
        "members": {"linear_svm": 19_000.0},
        "model_version": 3,
        "reason": None,
        "partition": 0,
        "offset": 7,
        "epoch": 2,
        "requested_at": NOON,
    }
    return Answer(request_id=request_id, **fields | parts)


def unpublished(_request_id: str, _listing: str) -> None:
    """Stands for the broker."""


class Asked:
    """Explanations that are asked for and never given."""

    def __init__(self) -> None:
        self.versions: list[int] = []

    def ask(self, _listing: str, version: int, tell: Any) -> None:
        self.versions.append(version)
        tell(state="waiting")


def priced(*answers: Answer) -> tuple[Quote, list[int]]:
    asked = Asked()
    prices = pricing.Pricing(unpublished, asked)  # type: ignore[arg-type]
    quote = Quote("web-1", "{}", 0.0)
    prices._quotes["web-1"] = quote
    for one in answers:
        prices.take(one, round(NOON.timestamp() * 1000) + 12)
    return quote, asked.versions


class TestQuote:
    def test_an_answer_is_shown_with_its_latency_and_explained_by_its_own_version(self):
        async def run() -> tuple[Quote, list[int]]:
            return priced(answer("web-1"))

        quote, versions = asyncio.run(run())
        assert quote.shown()["answer"] | {"late_ms": 12, "price": 20_000.0} == quote.shown()["answer"]
        assert versions == [3]
        assert not quote.done

    def test_the_first_answer_stays(self):
        quote, versions = priced(answer("web-1"), answer("web-1", price=1.0, epoch=9), answer("web-2"))
        assert quote.answer is not None
        assert (quote.answer.price, versions) == (20_000.0, [3])

    def test_a_rejected_request_has_no_explanation(self):
        quote, versions = priced(answer("web-1", status="rejected", price=None, reason="no year"))
        assert (quote.done, versions) == (True, [])
        assert quote.shown()["answer"]["reason"] == "no year"

    def test_who_follows_is_told_at_once_and_of_every_change_until_the_end(self):
        async def run() -> list[str]:
            quote, _ = priced()
            prices = pricing.Pricing(unpublished, Asked())  # type: ignore[arg-type]
            seen = []
            async for shown in prices.follow(quote, asyncio.Event()):
                seen.append(shown["explanation"]["state"])
                following = {"waiting": "starting", "starting": "explained"}.get(seen[-1])
                if following:
                    quote.tell(state=following)
            return seen

        assert asyncio.run(run()) == ["waiting", "starting", "explained"]

    def test_following_ends_when_the_page_does(self):
        async def run() -> int:
            quote, _ = priced()
            prices = pricing.Pricing(unpublished, Asked())  # type: ignore[arg-type]
            closing = asyncio.Event()
            asyncio.get_running_loop().call_soon(closing.set)
            return len([shown async for shown in prices.follow(quote, closing)])

        assert asyncio.run(run()) == 1


def asking(publish: Any, times: int) -> list[str]:
    """Ask again and again without an answer; return how each try ended."""

    async def run() -> list[str]:
        prices = pricing.Pricing(publish, Asked())  # type: ignore[arg-type]
        ends = []
        for _ in range(times):
            try:
                quote = await prices.ask("{}")
                ends.append("asked" if prices.find(quote.request_id) else "lost")
            except (pricing.BusyError, pricing.UndeliveredError) as error:
                ends.append(type(error).__name__)
        return ends

    return asyncio.run(run())


class TestAsking:
    def test_each_request_has_an_id_of_its_own(self):
        ids: list[str] = []
        asking(lambda request_id, _: ids.append(request_id), 3)
        assert len({*ids}) == 3
        assert all(one.startswith(pricing.PREFIX) for one in ids)

    def test_no_more_wait_for_an_answer_than_a_few(self, monkeypatch):
        monkeypatch.setattr(pricing, "MOST_UNANSWERED", 2)
        assert asking(unpublished, 3) == ["asked", "asked", "BusyError"]

    def test_a_request_that_the_broker_did_not_take_waits_for_nothing(self, monkeypatch):
        monkeypatch.setattr(pricing, "MOST_UNANSWERED", 1)

        def refused(_request_id: str, _listing: str) -> None:
            raise pricing.UndeliveredError("no broker")

        assert asking(refused, 2) == ["UndeliveredError", "UndeliveredError"]

    def test_what_is_remembered_is_bounded(self, monkeypatch):
        monkeypatch.setattr(pricing, "KEPT", 2)
        assert asking(unpublished, 5) == ["asked"] * 5


EXPLANATION = Explanation(1, 20_000.0, 17_000.0, 24_000.0, {}, {}, 25_000.0, (), None)


class Processes:
    """Stands for the processes that explain: which there were, and which run."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.running = 0
        self.most = 0
        self.fails = False
        self.none_runs = threading.Event()
        self.ends = False  # with each explanation
        self.process = SimpleNamespace(poll=lambda: 1 if self.ends else None)

    @contextmanager
    def explainer(self, _servers: Servers, _model: str, version: int) -> Any:
        if self.fails:
            raise ExplainError("MLflow is away")
        self.started.append(version)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield self
        finally:
            self.running -= 1
            self.none_runs.set()

    def explain(self, _listing: str) -> Explanation:
        return EXPLANATION


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    found = Processes()
    monkeypatch.setattr(explanations, "explainer", found.explainer)
    return found


def explained(*versions: int, idle_s: float = 30) -> list[list[str]]:
    """Ask for the explanations one after the other; return the states that each went through."""

    async def run() -> list[list[str]]:
        asking = Explanations(Servers(), idle_s)
        stories = []
        for version in versions:
            states: asyncio.Queue[str] = asyncio.Queue()
            asking.ask("{}", version, lambda state, states=states, **_: states.put_nowait(state))
            story = [await states.get()]
            while story[-1] not in {"explained", "failed"}:
                story.append(await states.get())
            stories.append(story)
        await asyncio.to_thread(asking.stop)
        return stories

    return asyncio.run(run())


class TestExplanations:
    def test_a_process_is_started_for_the_first_and_kept_for_the_next(self, processes):
        first, second = explained(1, 1)
        assert first == ["waiting", "starting", "explaining", "explained"]
        assert second == ["waiting", "explaining", "explained"]
        assert (processes.started, processes.running) == ([1], 0)

    def test_there_is_at_most_one_and_it_is_of_the_version_that_is_asked_about(self, processes):
        explained(1, 2, 2, 1)
        assert (processes.started, processes.most) == ([1, 2, 1], 1)

    def test_one_that_nobody_asks_is_ended(self, processes):
        async def run() -> None:
            asking = Explanations(Servers(), 0.01)
            done = asyncio.Event()
            asking.ask("{}", 1, lambda state, **_: done.set() if state == "explained" else None)
            await done.wait()
            await asyncio.to_thread(processes.none_runs.wait)
            await asyncio.to_thread(asking.stop)

        asyncio.run(run())
        assert processes.started == [1]

    def test_one_that_ended_is_followed_by_another(self, processes):
        processes.ends = True
        assert [story[-1] for story in explained(1, 1)] == ["explained", "explained"]
        assert processes.started == [1, 1]

    def test_one_that_does_not_start_says_why_and_the_next_is_tried_again(self, processes):
        processes.fails = True
        assert explained(1, 1) == [["waiting", "starting", "failed"]] * 2

    @pytest.mark.usefixtures("processes")
    def test_no_more_wait_than_can_be_served_soon(self, monkeypatch):
        class Full:
            def put_nowait(self, _: object) -> None:
                raise queue.Full

        async def run() -> dict[str, Any]:
            asking = Explanations(Servers(), 30)
            monkeypatch.setattr(asking, "_waiting", Full())
            told: dict[str, Any] = {}
            asking.ask("{}", 1, lambda **state: told.update(state))
            return told

        assert asyncio.run(run())["state"] == "failed"
