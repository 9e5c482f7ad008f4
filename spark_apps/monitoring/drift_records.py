"""Counts of a window as records of ``metrics``: drift by feature, errors that are to be expected. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from control_plane.events import iso
from spark_apps.drift.psi import by_chance, psi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from spark_apps.drift.reference import Bins, Reference

_DIGITS = 6


@dataclass(frozen=True)
class Span:
    """A window of the broker's time, ms since 1970, its end not in it."""

    start: int
    end: int

    def fields(self) -> dict[str, str]:
        """Return how the contract names the window."""
        start, end = (iso(datetime.fromtimestamp(at / 1000, UTC)) for at in (self.start, self.end))
        return {"window_start": start, "window_end": end}


def drifts(
    span: Span,
    references: Mapping[int, Reference],
    tallies: Iterable[tuple[int, str, int, int]],
    at_least: int,
) -> Iterator[tuple[str, str]]:
    """Yield key and value of the record of each feature that has ``at_least`` so many values.

    ``tallies`` are model version, feature, bin and how many values are in it.
    """
    found: dict[tuple[int, str], list[int]] = {}
    bins = {(version, name): one for version, of in references.items() for name, one in _all(of).items()}
    for version, feature, number, count in tallies:
        tally = found.setdefault((version, feature), [0] * len(bins[version, feature].tally))
        tally[number] += count
    for (version, feature), now in sorted(found.items()):
        if (count := sum(now)) >= at_least:
            before = bins[version, feature].tally
            figures = {
                "psi": round(psi(before, now), _DIGITS),
                "chance": round(by_chance(before, now), _DIGITS),
                "count": count,
                "missing": round(now[-1] / count, _DIGITS),
            }
            yield _record("drift", span, {"model_version": version, "feature": feature}, figures)


def estimates(span: Span, found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield key and value of each version's record: model_version, count, half_width, mae, rmse."""
    for row in sorted(found, key=lambda row: row["model_version"]):
        figures = {"count": row["count"], **{name: row[name] for name in ("half_width", "mae", "rmse")}}
        yield _record("estimate", span, {"model_version": row["model_version"]}, figures)


def _all(reference: Reference) -> dict[str, Bins]:
    return {**reference.numbers, **reference.categories, **reference.outputs}


def _record(kind: str, span: Span, of: Mapping[str, Any], figures: Mapping[str, Any]) -> tuple[str, str]:
    key = "/".join(map(str, (kind, *span.fields().values(), *of.values())))
    return key, json.dumps({"kind": kind, **span.fields(), **of, **figures}, allow_nan=False)
