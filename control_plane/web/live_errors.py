"""The live errors that the page shows: the windows of ``metrics``, of a bounded time. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control_plane.records import ErrorWindow

STACK = "stack"
MEASURES = ("rmse", "mae", "mape", "coverage")
MOST_WINDOWS = 20_000  # however short the windows are
_PARTS = ("count", "rmse", "mae", "mape", "bias", "r2", "coverage")


class LiveErrors:
    """The windows that ended within ``keep_s`` of the newest; one that is published again is the same one."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._windows: dict[tuple[float, float, int, str], ErrorWindow] = {}
        self._newest = -math.inf

    def take(self, window: ErrorWindow) -> None:
        """Take a window, in any order."""
        start, end = window.window_start.timestamp(), window.window_end.timestamp()
        self._newest = max(self._newest, end)
        self._windows[start, end, window.model_version, window.model] = window
        if len(self._windows) > MOST_WINDOWS:
            del self._windows[min(self._windows, key=lambda key: key[1])]

    def shown(self) -> dict[str, Any]:
        """Return what the page shows: series of the stack by version, the last windows, sums by version."""
        self._forget()
        if not self._windows:
            return {"length_s": None, "times": [], "series": {}, "latest": [], "totals": {}}
        # Of windows of several lengths the shortest tells most; the others say the same more slowly.
        length = min(round(end - start, 3) for start, end, _, _ in self._windows)
        chosen = {key: w for key, w in self._windows.items() if round(key[1] - key[0], 3) == length}
        stack = {(end, version): w for (_, end, version, model), w in chosen.items() if model == STACK}
        return {
            "length_s": length,
            **_series(stack),
            "latest": _latest(chosen.values()),
            "totals": _totals(stack.values()),
        }

    def _forget(self) -> None:
        oldest = self._newest - self._keep_s
        self._windows = {key: window for key, window in self._windows.items() if key[1] >= oldest}


def _series(stack: dict[tuple[float, int], ErrorWindow]) -> dict[str, Any]:
    """Return columns, one entry a window's end (Unix time); null where a version has no window."""
    times = sorted({end for end, _ in stack})
    series = {
        str(version): {
            measure: [_rounded(getattr(stack.get((end, version)), measure, None)) for end in times]
            for measure in MEASURES
        }
        for version in sorted({version for _, version in stack})
    }
    return {"times": times, "series": series}


def _latest(windows: Iterable[ErrorWindow]) -> list[dict[str, Any]]:
    """Return the last window of each version and model: the newest version first, its stack on top."""
    last: dict[tuple[int, str], ErrorWindow] = {}
    for window in sorted(windows, key=lambda window: window.window_end):
        last[window.model_version, window.model] = window
    # A member's last window may be older than its stack's, if it gave no price since: that says nothing now.
    ends = {version: window.window_end for (version, model), window in last.items() if model == STACK}
    current = [w for (version, _), w in last.items() if w.window_end == ends.get(version)]
    current.sort(key=lambda window: (-window.model_version, window.model != STACK, window.model))
    return [
        {
            "model_version": window.model_version,
            "model": window.model,
            "window_end": window.window_end.timestamp(),
            **{part: _rounded(getattr(window, part)) for part in _PARTS},
        }
        for window in current
    ]


def _totals(stack: Iterable[ErrorWindow]) -> dict[str, Any]:
    """Return each version's prices, RMSE and MAE over all windows kept, no price twice."""
    windows: defaultdict[int, list[ErrorWindow]] = defaultdict(list)
    for window in sorted(stack, key=lambda window: window.window_end):
        if window.rmse is not None and window.mae is not None and window.count > 0:
            taken = windows[window.model_version]
            if not taken or window.window_start >= taken[-1].window_end:  # else they overlap
                taken.append(window)
    return {str(version): _total(of_version) for version, of_version in sorted(windows.items())}


def _total(windows: list[ErrorWindow]) -> dict[str, Any]:
    count = sum(window.count for window in windows)
    squares = math.fsum(window.count * (window.rmse or 0.0) ** 2 for window in windows)
    absolute = math.fsum(window.count * (window.mae or 0.0) for window in windows)
    return {"count": count, "rmse": round(math.sqrt(squares / count), 2), "mae": round(absolute / count, 2)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
