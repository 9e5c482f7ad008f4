"""Whether the model that serves has degraded, decided from its windows of errors and drift. Pure.

What may be beyond its bound: ``rmse``, the live error against that on held-out cars; ``prediction``, the
drift of the prices given; ``inputs``, how many inputs have drifted at once. Windows count from when the
version came to serve. The log says what was told before: the same windows and events give the same answer.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from control_plane.decisions import Rollouts, on_model_event
from control_plane.events import ModelDegraded, ModelRegistered, RolloutSucceeded
from control_plane.records import DriftWindow, ErrorWindow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from control_plane.events import Recorded
    from control_plane.records import Metric
    from control_plane.settings import Quality

PREDICTION = "prediction"
OUTPUTS = {PREDICTION, "interval_width"}
STACK = "stack"


class Serving(NamedTuple):
    """The version that serves, since when, and the MLflow run that made it (if the log tells)."""

    version: int
    since: datetime
    run_id: str | None


class Measured(NamedTuple):
    """What one window says of one thing; ``features`` are the inputs beyond the bound."""

    window_start: datetime
    window_end: datetime
    value: float
    bound: float
    beyond: bool
    features: tuple[str, ...] = ()


def serving(log: Sequence[Recorded]) -> Serving | None:
    """Return what serves by ``control.models``."""
    version = reduce(lambda state, record: on_model_event(state, record)[0], log, Rollouts()).serving
    begun = [
        record.time
        for record in log
        if isinstance(record.event, RolloutSucceeded) and record.event.version == version
    ]
    runs = [
        record.event.run_id
        for record in log
        if isinstance(record.event, ModelRegistered) and record.event.version == version
    ]
    return None if version is None else Serving(version, begun[-1], runs[0] if runs else None)


def degradations(
    metrics: Iterable[Metric],
    log: Sequence[Recorded],
    serves: Serving,
    held_out_rmse: float | None,
    bounds: Quality,
) -> list[ModelDegraded]:
    """Return what is to be told of the version that serves, and was not yet, in the order of its windows.

    ``metrics`` are the windows of late, at least ``bounds.windows`` of them; ``held_out_rmse`` is in US
    dollars, None when it is not known.
    """
    live = [
        one for one in metrics if one.model_version == serves.version and one.window_start >= serves.since
    ]
    measured = {
        "rmse": _errors(live, held_out_rmse, bounds),
        PREDICTION: _prediction(live, bounds),
        "inputs": _inputs(live, bounds),
    }
    found = [
        event for what, windows in measured.items() for event in _told(what, windows, log, serves, bounds)
    ]
    return sorted(found, key=lambda event: (event.window_end, event.what))


def _errors(live: Iterable[Metric], held_out: float | None, bounds: Quality) -> list[Measured]:
    if held_out is None:
        return []
    bound = bounds.rmse * held_out
    return [
        Measured(one.window_start, one.window_end, one.rmse, bound, one.rmse > bound)
        for one in live
        if isinstance(one, ErrorWindow)
        and one.model == STACK
        and one.rmse is not None
        and one.count >= bounds.outcomes
    ]


def _prediction(live: Iterable[Metric], bounds: Quality) -> list[Measured]:
    return [
        Measured(one.window_start, one.window_end, one.psi, bounds.psi, _has_drifted(one, bounds))
        for one in live
        if isinstance(one, DriftWindow) and one.feature == PREDICTION
    ]


def _inputs(live: Iterable[Metric], bounds: Quality) -> list[Measured]:
    windows: defaultdict[tuple[datetime, datetime], dict[str, DriftWindow]] = defaultdict(dict)
    for one in live:
        if isinstance(one, DriftWindow) and one.feature not in OUTPUTS:
            windows[one.window_start, one.window_end][one.feature] = one
    found = []
    for (start, end), features in windows.items():
        drifted = tuple(sorted(name for name, one in features.items() if _has_drifted(one, bounds)))
        beyond = len(drifted) >= bounds.inputs
        found.append(Measured(start, end, len(drifted), bounds.inputs, beyond, drifted))
    return found


def _has_drifted(window: DriftWindow, bounds: Quality) -> bool:
    """Whether the index is beyond the bound, and beyond what chance makes of so few values."""
    return window.psi >= bounds.psi and window.psi > window.chance


def _told(
    what: str, windows: Iterable[Measured], log: Iterable[Recorded], serves: Serving, bounds: Quality
) -> Iterable[ModelDegraded]:
    told = [
        record.event.window_end
        for record in log
        if isinstance(record.event, ModelDegraded)
        and (record.event.version, record.event.what) == (serves.version, what)
    ]
    cool_down = timedelta(seconds=bounds.cool_down)
    in_a_row = 0
    once = {window.window_end: window for window in windows}  # a window may be published twice
    for end, window in sorted(once.items()):
        in_a_row = in_a_row + 1 if window.beyond else 0
        if in_a_row >= bounds.windows and not any(end - cool_down < before <= end for before in told):
            told.append(end)
            yield ModelDegraded(
                version=serves.version,
                what=what,
                value=window.value,
                bound=window.bound,
                window_start=window.window_start,
                window_end=end,
                windows=in_a_row,
                features=list(window.features),
            )
