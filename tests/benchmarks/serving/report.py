"""The tables of the benchmark, as texts by row. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control_plane.demo.report import Rows
    from tests.benchmarks.serving.results import Bound, Idle, Measured, Minute

LATENCIES = ("contestant", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "worst ms", "answers")
DRAINS = ("contestant", "backlog", "seconds", "requests/s", "CPU us a request", "memory MB")
BOUNDS = ("what must hold of this project", "found", "least", "most", "holds")
MINUTES = ("minute", "p50 ms", "p99 ms", "p99.9 ms", "worst ms", "answers", "server MB", "standby MB")
IDLE = ("", "server, % of a core", "MB", "standby, % of a core", "MB")
_NOTHING = "-"


def latencies(measured: Sequence[Measured]) -> Rows:
    """One row a contestant and rate, under :data:`LATENCIES`; rates stand together, to be compared."""
    rates = sorted({at.rate for one in measured for at in one.latencies})
    return [
        [
            one.name,
            f"{at.rate:,.0f}",
            *(f"{ms:,.1f}" for ms in (*at.percentiles, at.worst)),
            f"{at.answers:,}",
        ]
        for rate in rates
        for one in measured
        for at in one.latencies
        if at.rate == rate
    ]


def drains(measured: Sequence[Measured]) -> Rows:
    """One row a contestant and backlog, under :data:`DRAINS`."""
    return [
        [
            one.name,
            f"{drain.requests:,}",
            f"{drain.seconds:,.1f}",
            f"{drain.rate:,.0f}",
            f"{one.cpu_us:,.0f}" if drain is one.drains[-1] else "",
            f"{one.resident_bytes / 1e6:,.0f}" if drain is one.drains[-1] else "",
        ]
        for one in measured
        for drain in one.drains
    ]


def minutes(found: Sequence[Minute]) -> Rows:
    """One row a minute of a soak, under :data:`MINUTES`."""
    return [
        [
            f"{number}",
            *(f"{ms:,.1f}" for ms in one.percentiles),
            f"{len(one.late):,}",
            *(f"{held / 1e6:,.0f}" for held in (one.active_bytes, one.standby_bytes)),
        ]
        for number, one in enumerate(found, 1)
    ]


def idle(found: Sequence[Idle]) -> Rows:
    """One row a time with nothing to do, under :data:`IDLE`."""
    return [
        [
            one.when,
            *(
                text
                for cores, held in zip(one.cores, one.held_bytes, strict=True)
                for text in (f"{100 * cores:.1f}", f"{held / 1e6:,.0f}")
            ),
        ]
        for one in found
    ]


def judged(bounds: Sequence[Bound]) -> Rows:
    """One row a bound, under :data:`BOUNDS`."""
    return [
        [
            one.what,
            f"{one.found:,.1f}",
            f"{one.least:,g}" if one.least else _NOTHING,
            f"{one.most:,g}" if one.most != float("inf") else _NOTHING,
            "yes" if one.holds else "NO",
        ]
        for one in bounds
    ]
