"""The live errors once more, from the topics alone and without Spark: do outcomes and windows hold? Pure.

The same words as in ``spark_apps/monitoring``, decided by other code: the first answer to a request for which
a usable price came within the horizon makes an outcome with the first such price; an outcome counts in the
window of its own record's time. Windows may overlap, and how often one begins may change as time goes on.
Memory grows with the answers, prices and outcomes that are read.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from control_plane import prices, records

if TYPE_CHECKING:
    from collections.abc import Iterable

STACK = "stack"
FIGURES = ("count", "rmse", "mae", "mape", "bias", "r2", "coverage")

_MIN_DOLLARS, _MAX_DOLLARS = 0.01, 1e9
_EQUAL = 1e-9
_ANSWERED = ("price", "low", "high", "members", "model_version", "partition", "offset", "epoch")


class Window(NamedTuple):
    """Which window of errors: times in ms since 1970."""

    start: int
    end: int
    model_version: int
    model: str


class _Met(NamedTuple):
    """An answer and the price in US dollars that judges it; both were there at ``at_ms``."""

    answer: records.Answer
    actual: float
    at_ms: int


@dataclass
class Verdict:
    """What was compared and what differs, a sentence each; ``pending`` may come yet.

    ``unverifiable`` windows are older than the outcomes that are kept, or lie where windows began to come
    more, or less, often: what they hold depends on the moment of the change.
    """

    outcomes: int = 0
    windows: int = 0
    pending: int = 0
    unverifiable: int = 0
    differences: list[str] = field(default_factory=list)


class Recomputation:
    """Takes the records of the topics, each partition's in order, and compares.

    ``horizon`` and ``lead`` are how long after and before its answer a price may come, in seconds. ``now``
    and ``grace`` (seconds) say which outcomes and windows need not be there yet.
    """

    def __init__(self, *, horizon: float, lead: float, now: float, grace: float) -> None:
        self._horizon_ms, self._lead_ms = horizon * 1000, lead * 1000
        self._settled_ms = (now - grace) * 1000
        self._places: set[tuple[int, int]] = set()
        self._answers: dict[str, list[tuple[records.Answer, int]]] = {}
        self._prices: dict[str, list[tuple[float, int]]] = {}
        self._outcomes: dict[str, tuple[records.Outcome, int]] = {}
        self._outcomes_from_ms = 0
        self._windows: dict[Window, records.ErrorWindow] = {}
        self._republished: list[str] = []

    def take_prediction(self, value: bytes | None, at_ms: int) -> None:
        """Take a record of ``predictions``; what is no answer counts for nothing."""
        try:
            answer = records.answer(value)
        except records.RecordError:
            return
        place = answer.partition, answer.offset
        if place not in self._places:
            self._places.add(place)
            if answer.status == "predicted" and answer.request_id is not None and answer.price is not None:
                self._answers.setdefault(answer.request_id, []).append((answer, at_ms))

    def take_listing(self, value: bytes | None, at_ms: int) -> None:
        """Take a record of ``listings``; only prices matter."""
        if prices.is_price(value):
            price = json.loads(value or b"")
            if _MIN_DOLLARS <= price["price"] <= _MAX_DOLLARS:
                self._prices.setdefault(price["request_id"], []).append((float(price["price"]), at_ms))

    def take_outcome(self, value: bytes | None, at_ms: int) -> None:
        """Take a record of ``outcomes``: the first of a request counts, a repeated batch writes it again."""
        try:
            outcome = records.outcome(value)
        except records.RecordError:
            return
        if abs(outcome.price) <= _MAX_DOLLARS and _MIN_DOLLARS <= outcome.actual <= _MAX_DOLLARS:
            self._outcomes.setdefault(outcome.request_id, (outcome, at_ms))

    def take_metric(self, value: bytes | None) -> None:
        """Take a record of ``metrics``; only windows of errors matter."""
        try:
            window = records.metric(value)
        except records.RecordError:
            return
        if isinstance(window, records.ErrorWindow):
            known = self._windows.setdefault(_key(window), window)
            if known != window:
                self._republished.append(f"{_named(_key(window))} was published again with other content")

    def outcomes_begin(self, at_ms: int) -> None:
        """Say that outcomes before this moment are not in the topic any more."""
        self._outcomes_from_ms = max(self._outcomes_from_ms, at_ms)

    def verdict(self) -> Verdict:
        """Compare what is there with what ought to be."""
        found = Verdict(differences=list(self._republished))
        self._compare_outcomes(found)
        self._compare_windows(found)
        return found

    def _compare_outcomes(self, found: Verdict) -> None:
        for request in self._answers:
            met = self._first_to_meet(request)
            if met is None:
                continue
            outcome, _ = self._outcomes.get(request, (None, 0))
            if outcome is not None:
                found.outcomes += 1
                if wrong := _differing(outcome, met.answer, met.actual):
                    found.differences.append(f"the outcome of {request} has another {', '.join(wrong)}")
            elif met.at_ms > self._settled_ms:
                found.pending += 1
            else:
                found.differences.append(f"{request} has an answer and a price, and no outcome")

    def _first_to_meet(self, request: str) -> _Met | None:
        for answer, answered_ms in self._answers[request]:
            for actual, came_ms in self._prices.get(request, ()):
                if -self._lead_ms <= came_ms - answered_ms <= self._horizon_ms:
                    return _Met(answer, actual, max(answered_ms, came_ms))
        return None

    def _compare_windows(self, found: Verdict) -> None:
        lengths = {key.end - key.start for key in self._windows}
        grids = {length: _Grid.of(length, self._windows) for length in lengths}
        newest = dict.fromkeys(lengths, 0)
        for key in self._windows:
            newest[key.end - key.start] = max(newest[key.end - key.start], key.end)
        expected = self._expected({length: grid.step for length, grid in grids.items()})
        for key, rows in expected.items():
            wrong = _unequal(key, self._windows[key], rows) if key in self._windows else []
            if (wrong or key not in self._windows) and not grids[key.end - key.start].is_sure(key.start):
                found.unverifiable += key in self._windows
            elif key in self._windows:
                found.windows += 1
                found.differences += wrong
            elif key.end > min(newest[key.end - key.start], self._settled_ms):
                found.pending += 1
            elif key.start >= self._outcomes_from_ms:
                found.differences.append(f"{_named(key)} is missing: {len(rows)} outcomes lie in it")
        for key in self._windows.keys() - expected.keys():
            if key.start < self._outcomes_from_ms:
                found.unverifiable += 1
            else:
                found.differences.append(f"{_named(key)} was published, and no outcome lies in it")

    def _expected(self, steps: dict[int, int]) -> dict[Window, list[tuple[float, float, bool | None]]]:
        rows: defaultdict[Window, list[tuple[float, float, bool | None]]] = defaultdict(list)
        for outcome, at_ms in self._outcomes.values():
            for length, step in steps.items():
                last = at_ms - at_ms % step
                for start in range(last, at_ms - length, -step):
                    where = (start, start + length, outcome.model_version)
                    for model, predicted, covered in _predictions(outcome):
                        rows[Window(*where, model)].append((predicted, outcome.actual, covered))
        return rows


@dataclass(frozen=True)
class _Grid:
    """Where windows of a length begin, as those published tell: every ``step`` at the most frequent.

    How often may have changed. Each outcome lies in windows of every phase of its time, so where a phase was
    in use, it is found among the windows that hold the outcomes around. Those that begin at a multiple of
    their length are part of every grid.
    """

    length: int
    step: int
    starts: list[int]

    @classmethod
    def of(cls, length: int, windows: Iterable[Window]) -> _Grid:
        starts = sorted({key.start for key in windows if key.end - key.start == length})
        return cls(length, math.gcd(length, *starts), starts)

    def is_sure(self, start: int) -> bool:
        """Return whether a window that begins here was due, and whole: one such came before, and after."""
        return start % self.length == 0 or (
            self._had(start, start - 2 * self.length, start - self.length)
            and self._had(start, start + self.length, start + 2 * self.length)
        )

    def _had(self, start: int, first: int, last: int) -> bool:
        """Return whether windows from ``first`` to ``last`` tell of one at ``start``, or there are none."""
        there = self.starts[bisect_left(self.starts, first) : bisect_right(self.starts, last)]
        return not there or any(start % math.gcd(self.length, other) == 0 for other in there)


def _predictions(outcome: records.Outcome) -> list[tuple[str, float, bool | None]]:
    covered = None
    if outcome.low is not None and outcome.high is not None:
        covered = outcome.low <= outcome.actual <= outcome.high
    members = (outcome.members or {}).items()
    return [
        (STACK, outcome.price, covered),
        *((name, price, None) for name, price in members if price is not None and abs(price) <= _MAX_DOLLARS),
    ]


def _differing(outcome: records.Outcome, answer: records.Answer, actual: float) -> list[str]:
    wrong = [name for name in _ANSWERED if getattr(outcome, name) != getattr(answer, name)]
    return wrong + (["actual"] if outcome.actual != actual else [])


def _unequal(
    key: Window, window: records.ErrorWindow, rows: list[tuple[float, float, bool | None]]
) -> list[str]:
    ought = errors(rows)
    return [
        f"{_named(key)}: {name} is {getattr(window, name)}, and ought to be {ought[name]}"
        for name in FIGURES
        if not _same(getattr(window, name), ought[name])
    ]


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_EQUAL, abs_tol=_EQUAL)


def errors(rows: list[tuple[float, float, bool | None]]) -> dict[str, float | None]:
    """Return the figures of rows of (predicted, actual, whether the interval held it or None)."""
    predicted, actual = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    error = predicted - actual
    spread = float(np.sum((actual - actual.mean()) ** 2))
    known = [row[2] for row in rows if row[2] is not None]
    return {
        "count": len(rows),
        "rmse": math.sqrt(np.mean(error**2)),
        "mae": float(np.mean(np.abs(error))),
        "mape": float(np.mean(np.abs(error) / actual)),
        "bias": float(np.mean(error)),
        "r2": 1 - float(np.sum(error**2)) / spread if actual.min() < actual.max() else None,
        "coverage": sum(known) / len(known) if known else None,
    }


def _key(window: records.ErrorWindow) -> Window:
    start, end = (round(at.timestamp() * 1000) for at in (window.window_start, window.window_end))
    return Window(start, end, window.model_version, window.model)


def _named(key: Window) -> str:
    moment = np.datetime64(key.end, "ms")
    return f"the window of {key.model} of model version {key.model_version} that ended at {moment}Z"
