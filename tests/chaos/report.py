"""The table of a campaign by fault, its JSON, and what is kept of a run that failed."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.chaos.campaign import Run

COLUMNS = (
    "fault",
    "runs",
    "requests",
    "lost",
    "doubled",
    "by the rule",
    "out of order",
    "worst",
    "seconds",
    "failed",
)
_AROUND = 50  # records on either side of what went wrong
_LONGEST = 2_000  # bytes of a record that is kept


def table(runs: Sequence[Run]) -> list[list[str]]:
    """Return a row a fault under :data:`COLUMNS`, and one for all; a run with two faults is in both rows."""
    by_fault: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for fault in sorted({injection.fault for injection in run.plan.injections}):
            by_fault[fault].append(run)
    return [_row(fault, by_fault[fault]) for fault in sorted(by_fault)] + [_row("all", runs)]


def _row(name: str, runs: Sequence[Run]) -> list[str]:
    verdicts = [run.verdict for run in runs]
    figures = (
        len(runs),
        sum(one.requests for one in verdicts),
        sum(one.lost for one in verdicts),
        sum(one.doubled for one in verdicts),
        sum(one.doubled_by_rule for one in verdicts),
        sum(one.out_of_order for one in verdicts),
    )
    worst = max((one.worst_ms for one in verdicts), default=0)
    longest = max((run.seconds for run in runs), default=0.0)
    failed = sum(bool(one.problems) for one in verdicts)
    return [name, *(f"{figure:,}" for figure in figures), f"{worst:,} ms", f"{longest:.0f}", f"{failed}"]


def line(run: Run) -> str:
    """Return a run in a line."""
    verdict = run.verdict
    return (
        f"seed {run.plan.seed}: {run.plan}: {verdict.requests:,} requests, {verdict.lost} lost, "
        f"{verdict.doubled} doubled, worst {verdict.worst_ms:,} ms, {run.seconds:.0f} s"
        + (f", processors wanting for {run.starved:.0%}" if run.starved is not None else "")
    )


def figures(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Return all runs for JSON."""
    return [
        {
            "plan": asdict(run.plan),
            "began": run.began,
            "seconds": run.seconds,
            "starved": run.starved,
            "hit": list(run.hit),
            **{name: value for name, value in asdict(run.verdict).items() if name != "places"},
        }
        for run in runs
    ]


def keep(run: Run, folder: Path, logs: Iterable[Path]) -> None:
    """Write down a failed run: what it was, its records around the trouble, and the logs so far."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps([*figures([run]), run.verdict.places], indent=1) + "\n")
    for part in run.parts:
        troubled = {place for number, place in run.verdict.places if number == part.partition}
        near = [one for one in part.listings if _is_near(one.offset, troubled)]
        (folder / f"listings-{part.partition}.txt").write_text(
            "".join(f"{one.offset} {_text(one.value)}\n" for one in near)
        )
        offsets = {one.offset for one in near}
        (folder / f"predictions-{part.partition}.txt").write_text(
            "".join(
                f"{one.position} {one.written_ms} {_text(one.value)}\n"
                for one in part.predictions
                if _is_near(one.position, troubled) or _offset(one.value) in offsets or not offsets
            )
        )
    for log in logs:
        (folder / log.name).write_bytes(log.read_bytes())


def _is_near(offset: int, troubled: set[int]) -> bool:
    return any(abs(offset - place) <= _AROUND for place in troubled)


def _offset(value: bytes | None) -> int:
    try:
        return int(json.loads(value or b"")["offset"])
    except (ValueError, KeyError, TypeError):
        return -1


def _text(value: bytes | None) -> str:
    return repr(value[:_LONGEST]) if value is not None else "null"
