"""What the demo shows at the end, from what was seen on the topics and in MLflow. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from control_plane.simulator.traffic import Ledger, percentiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Rows = list[list[str]]


@dataclass(frozen=True)
class Phase:
    """A span of the story, in ms since the epoch, whose requests are looked at together."""

    name: str
    begin_ms: float
    end_ms: float


def latency(ledger: Ledger, phases: Sequence[Phase]) -> Rows:
    """One row a phase: requests, then p50, p99, p99.9 and worst latency in ms."""
    rows = []
    for phase in phases:
        answers = ledger.between(phase.begin_ms, phase.end_ms)
        figures = percentiles(answers, 50, 99, 99.9, 100)
        rows.append([phase.name, f"{len(answers):,}", *(f"{figure:,.1f}" for figure in figures)])
    return rows


def requests(ledger: Ledger) -> Rows:
    """One row: requests sent, answered, rejected, answered twice, lost."""
    answers = ledger.answers.values()
    rejected = sum(answer.status != "predicted" for answer in answers)
    figures = (len(ledger.sent), len(answers), rejected, ledger.repeated, len(ledger.unanswered))
    return [[f"{figure:,}" for figure in figures]]


def answered_by_version(ledger: Ledger) -> dict[int, int]:
    """Count the answers of each model version."""
    return dict(sorted(Counter(answer.model_version for answer in ledger.answers.values()).items()))


def windows(records: Sequence[Mapping[str, Any]], members: Sequence[str]) -> Rows:
    """One row a window and version: count, the stack's errors, then each member's RMSE."""
    found = {
        (r["window_start"], r["window_end"], r["model_version"], r["model"]): r
        for r in records
        if r.get("kind") == "error"
    }
    rows = []
    for start, end, version in sorted({key[:3] for key in found}):
        stack = found.get((start, end, version, "stack"))
        if stack is None:
            continue
        others = [dollars(found.get((start, end, version, name), {}).get("rmse")) for name in members]
        rows.append([f"{start[11:19]}-{end[11:19]}", str(version), *_errors(stack), *others])
    return rows


def _errors(stack: Mapping[str, Any]) -> list[str]:
    shares = [share(stack["mape"]), share(stack["coverage"])]
    return [f"{stack['count']:,}", dollars(stack["rmse"]), dollars(stack["mae"]), *shares]


def counted(records: Sequence[Mapping[str, Any]]) -> int:
    """Return how many prices the published windows have counted for the stack, each window once."""
    stack = {
        (r["window_start"], r["window_end"], r["model_version"]): r["count"]
        for r in records
        if r.get("kind") == "error" and r.get("model") == "stack"
    }
    return sum(stack.values())


def problems(ledger: Ledger, versions: Sequence[int], prices: int, priced: int) -> list[str]:
    """Name everything that was promised and did not hold; empty when all is well."""
    found = []
    if lost := len(ledger.unanswered):
        found.append(f"{lost:,} requests were not answered, {ledger.unanswered[0]} for one")
    if ledger.repeated:
        found.append(f"{ledger.repeated:,} requests were answered twice")
    if ledger.undelivered:
        found.append(f"{ledger.undelivered:,} requests did not reach Kafka")
    silent = [version for version in versions if version not in answered_by_version(ledger)]
    found += [f"version {version} answered no request" for version in silent]
    if priced != prices:
        found.append(f"{prices:,} prices were sent, but the live windows counted {priced:,}")
    return found


def dollars(value: float | None) -> str:
    """Format an amount; a dash for null."""
    return "-" if value is None else f"${value:,.0f}"


def share(value: float | None) -> str:
    """Format a share as a percentage; a dash for null."""
    return "-" if value is None else f"{100 * value:.1f} %"
