from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from control_plane.events import iso
from control_plane.recomputation import FIGURES, Recomputation, errors

NOON = round(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000
HOUR_S = 3600.0


def at(ms: int) -> str:
    return iso(datetime.fromtimestamp((NOON + ms) / 1000, UTC))


def answer(request: str, offset: int, price: float = 10_000.0, **changes: object) -> dict[str, object]:
    return {
        "request_id": request,
        "status": "predicted",
        "price": price,
        "low": price - 1_000,
        "high": price + 1_000,
        "members": {"linear_svm": price + 500},
        "model_version": 3,
        "reason": None,
        "partition": 0,
        "offset": offset,
        "epoch": 1,
        "requested_at": at(0),
    } | changes


def window(
    rows: list[tuple[float, float, bool | None]], model: str, end: int = MINUTE, **changes: object
) -> bytes:
    return json.dumps(
        {
            "kind": "error",
            "window_start": at(end - MINUTE),
            "window_end": at(end),
            "model_version": 3,
            "model": model,
            **errors(rows),
        }
        | changes
    ).encode()


class World:
    """Two cars that were answered and paid for in the first minute, and what monitoring makes of them."""

    def __init__(self, *, now: float = NOON / 1000 + HOUR_S) -> None:
        self.work = Recomputation(horizon=HOUR_S, lead=60, now=now, grace=60)
        self.answers = [answer("r-1", 0), answer("r-2", 1, 20_000.0)]
        self.actual = [10_500.0, 23_000.0]
        for one, dollars in zip(self.answers, self.actual, strict=True):
            self.predicted(one)
            self.priced(one["request_id"], dollars)

    def predicted(self, one: dict[str, object], ms: int = 1_000) -> None:
        self.work.take_prediction(json.dumps(one).encode(), NOON + ms)

    def priced(self, request: object, dollars: float, ms: int = 2_000) -> None:
        price = {"kind": "price", "request_id": request, "price": dollars}
        self.work.take_listing(json.dumps(price).encode(), NOON + ms)

    def outcome(self, one: dict[str, object], dollars: float, ms: int = 3_000) -> None:
        self.work.take_outcome(json.dumps(one | {"actual": dollars}).encode(), NOON + ms)

    def all_outcomes(self) -> None:
        for one, dollars in zip(self.answers, self.actual, strict=True):
            self.outcome(one, dollars)

    def all_windows(self, **changes: object) -> None:
        a, b = self.actual
        self.work.take_metric(window([(10_000, a, True), (20_000, b, False)], "stack", **changes))
        self.work.take_metric(window([(10_500, a, None), (20_500, b, None)], "linear_svm"))


def test_what_is_right_differs_in_nothing():
    world = World()
    world.all_outcomes()
    world.all_windows()
    found = world.work.verdict()
    assert found.differences == []
    assert (found.outcomes, found.windows, found.pending) == (2, 2, 0)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_that_is_off_by_a_millionth_is_found(figure):
    world = World()
    world.all_outcomes()
    right = errors([(10_000, world.actual[0], True), (20_000, world.actual[1], False)])[figure]
    world.all_windows(**{figure: right + 1 if figure == "count" else right * (1 + 1e-6)})
    [said] = world.work.verdict().differences
    assert f"{figure} is" in said
    assert "stack of model version 3" in said


def test_an_outcome_that_never_came_is_found_and_one_that_may_come_is_not():
    assert World().work.verdict().differences == [
        "r-1 has an answer and a price, and no outcome",
        "r-2 has an answer and a price, and no outcome",
    ]
    now = World(now=NOON / 1000 + 30).work.verdict()
    assert (now.differences, now.pending) == ([], 2)


@pytest.mark.parametrize(("changed", "name"), [({"price": 1.0}, "price"), ({"epoch": 2}, "epoch")])
def test_an_outcome_with_another_answer_is_found(changed, name):
    world = World()
    world.outcome(world.answers[0] | changed, world.actual[0])
    assert f"the outcome of r-1 has another {name}" in world.work.verdict().differences


def test_the_first_answer_to_a_request_and_the_first_price_count():
    world = World()
    world.predicted(answer("r-1", 0, 99_999.0, epoch=2))
    world.priced("r-1", 1.0)
    world.all_outcomes()
    world.all_windows()
    assert world.work.verdict().differences == []


def test_a_price_that_comes_too_early_leaves_the_request_to_the_next():
    world = World()
    asked = answer("r-3", 2)
    world.priced("r-3", 1.0, ms=0)
    world.predicted(asked, ms=5 * MINUTE)
    world.priced("r-3", 9_000.0, ms=6 * MINUTE)
    world.priced("r-3", 8_000.0, ms=7 * MINUTE)
    world.all_outcomes()
    world.outcome(asked, 9_000.0, ms=MINUTE - 1)
    assert world.work.verdict().differences == []


def test_a_request_under_an_old_id_meets_the_price_that_the_old_one_does_not():
    world = World()
    late = 2 * int(HOUR_S) * 1000
    again = answer("r-3", 3, 30_000.0)
    world.predicted(answer("r-3", 2))
    world.predicted(again, ms=late)
    world.priced("r-3", 31_000.0, ms=late + 1)
    world.outcome(again, 31_000.0, ms=MINUTE - 1)
    world.all_outcomes()
    found = world.work.verdict()
    assert (found.outcomes, found.differences) == (3, [])


@pytest.mark.parametrize("came", [1_000 + round(HOUR_S * 1000) + 1, 1_000 - 60_001])
def test_a_price_beyond_the_horizon_makes_no_outcome(came):
    world = World()
    world.predicted(answer("r-3", 2))
    world.priced("r-3", 12_000.0, came)
    world.all_outcomes()
    world.all_windows()
    assert world.work.verdict().differences == []


def test_an_outcome_that_was_written_twice_counts_once():
    world = World()
    world.all_outcomes()
    world.all_outcomes()
    world.all_windows()
    assert world.work.verdict().differences == []


def test_a_window_published_again_must_be_the_same():
    world = World()
    world.all_outcomes()
    world.all_windows()
    world.all_windows()
    assert world.work.verdict().differences == []
    world.all_windows(rmse=1.0)
    assert "published again with other content" in world.work.verdict().differences[0]


def test_a_window_that_is_missing_is_found_once_a_later_one_is_there():
    world = World()
    world.all_outcomes()
    world.outcome(answer("late", 9), 10_000.0, MINUTE + 1)
    later = [(10_000.0, 10_000.0, True)]
    world.work.take_metric(window(later, "stack", end=2 * MINUTE))
    world.work.take_metric(window([(10_500.0, 10_000.0, None)], "linear_svm", end=2 * MINUTE))
    missing = world.work.verdict().differences
    assert len(missing) == 2
    assert all("is missing: 2 outcomes lie in it" in said for said in missing)


def test_a_window_without_outcomes_is_wrong_unless_they_aged_out():
    world = World()
    world.all_windows()
    world.work.outcomes_begin(NOON + 10 * MINUTE)
    found = world.work.verdict()
    assert found.unverifiable == 2
    world.work = Recomputation(horizon=HOUR_S, lead=60, now=NOON / 1000 + HOUR_S, grace=60)
    world.all_windows()
    assert all("no outcome lies in it" in said for said in world.work.verdict().differences)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b"{}", b"[" * 10_000, b'{"kind": "price"}'])
def test_garbage_counts_for_nothing(value):
    world = World()
    for take in (world.work.take_prediction, world.work.take_listing, world.work.take_outcome):
        take(value, NOON)
    world.work.take_metric(value)
    world.all_outcomes()
    world.all_windows()
    assert world.work.verdict().differences == []


SPREAD = [(1_000, 10_500.0), (25_000, 23_000.0), (70_000, 9_000.0)]  # ms, dollars


def sliding_windows(step: int) -> dict[int, list[tuple[float, float, bool | None]]]:
    """By start, the rows of the windows of a minute that the outcomes lie in."""
    rows: dict[int, list[tuple[float, float, bool | None]]] = {}
    for start in range(-MINUTE + step, 70_001, step):
        held = [(10_000.0, dollars, None) for ms, dollars in SPREAD if start <= ms < start + MINUTE]
        if held:
            rows[start] = held
    return rows


@pytest.mark.parametrize("step", [10_000, 20_000, 60_000])
@pytest.mark.parametrize("lost", [False, True])
def test_windows_that_overlap_are_compared_each(step, lost):
    work = Recomputation(horizon=HOUR_S, lead=60, now=NOON / 1000 + HOUR_S, grace=60)
    for number, (ms, dollars) in enumerate(SPREAD):
        one = answer(f"r-{number}", number, low=None, high=None, members={}) | {"actual": dollars}
        work.take_outcome(json.dumps(one).encode(), NOON + ms)
    windows = sliding_windows(step)
    kept = list(windows)[:-2] + list(windows)[-1:] if lost else list(windows)
    for start in kept:
        work.take_metric(window(windows[start], "stack", start + MINUTE))

    found = work.verdict()

    assert found.windows == len(kept)
    assert len(found.differences) == int(lost)


TIMES = range(0, 20 * MINUTE, 7_000)  # of outcomes, ms


def published(steps: list[tuple[int, int]]) -> dict[int, list[int]]:
    """By start, the outcomes in each window of a minute that the application publishes.

    ``steps`` are (from when on, ms; a window begins every so many ms), one after the other.
    """
    held: dict[int, list[int]] = {}
    for ms in TIMES:
        step = next(step for since, step in reversed(steps) if since <= ms)
        for start in range(ms - ms % step, ms - MINUTE, -step):
            held.setdefault(start, []).append(ms)
    return held


@pytest.mark.parametrize(
    "steps",
    [
        [(0, 60_000), (8 * MINUTE + 20_000, 15_000)],
        [(0, 15_000), (8 * MINUTE + 20_000, 60_000)],
        [(0, 20_000), (6 * MINUTE, 10_000), (13 * MINUTE + 5_000, 30_000)],
    ],
)
@pytest.mark.parametrize("lost", [None, 3 * MINUTE, 15 * MINUTE, 3 * MINUTE + 30_000, 15 * MINUTE + 30_000])
def test_windows_that_begin_more_or_less_often_than_before_leave_no_gaps(steps, lost):
    work = Recomputation(horizon=HOUR_S, lead=60, now=NOON / 1000 + HOUR_S, grace=60)
    for number, ms in enumerate(TIMES):
        one = answer(f"r-{number}", number, low=None, high=None, members={}) | {"actual": 9_000.0 + ms % 977}
        work.take_outcome(json.dumps(one).encode(), NOON + ms)
    windows = published(steps)
    for start, held in windows.items():
        if start != lost:
            rows = [(10_000.0, 9_000.0 + ms % 977, None) for ms in held]
            work.take_metric(window(rows, "stack", start + MINUTE))

    found = work.verdict()

    was_due = lost in windows
    assert len(found.differences) == was_due, found.differences
    assert found.windows + found.unverifiable == len(windows) - was_due
    assert found.unverifiable < 30
