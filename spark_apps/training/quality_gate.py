"""Whether a batch may be trained on: its profile against that of the last accepted one. Pure.

How far a batch may be from the last one is a matter of bounds, and of chance besides: a share of few rows, or
a quantile of few values, says little. A share may be as high as chance makes one that keeps its bound, and a
quantile as far away as chance moves its level.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from control_plane.failures import Finding, RefusedProfile
from spark_apps.listings.quality import QUARANTINED
from spark_apps.listings.reading import BatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from spark_apps.listings.profile import CategoryProfile, NumberProfile, Profile
    from spark_apps.training.settings import GateSettings

C = TypeVar("C", "NumberProfile", "CategoryProfile")

_MIDDLE = (0.1, 0.25, 0.5, 0.75, 0.9)
_ENDS = (0.01, 0.99)
# Where and when a car is sold: batches of one region, or of another month, are as good as any.
_FREE_TO_MOVE = {"daysonmarket", "latitude", "listed", "longitude", "seller_rating"}
_TOLD = 8  # findings in an event
_IN_WORDS = 3  # findings in a sentence


class Verdict(StrEnum):
    """What becomes of a batch at the gate."""

    FIRST = "nothing to compare with"
    WITHIN = "within the bounds"
    ACCEPTED = "accepted by override"
    REFUSED = "refused"


class BatchRefusedError(BatchError):
    """A batch that is beyond the bounds; ``profile`` is what the event tells of it."""

    def __init__(self, reason: str, profile: RefusedProfile) -> None:
        super().__init__(reason)
        self.profile = profile


def judge(found: Sequence[Finding], last: Profile | None, *, accept: bool) -> Verdict:
    """Return what becomes of a batch of which this was found."""
    if found:
        return Verdict.ACCEPTED if accept else Verdict.REFUSED
    return Verdict.WITHIN if last else Verdict.FIRST


def refusal(profile: Profile, found: Sequence[Finding], run_id: str) -> BatchRefusedError:
    """Return the error that refuses the batch for what was found."""
    words = ", ".join(_in_words(finding) for finding in found[:_IN_WORDS])
    more = f" and {len(found) - _IN_WORDS} more" if len(found) > _IN_WORDS else ""
    return BatchRefusedError(
        f"batch {profile.batch} was refused: {words}{more}; to take it all the same: "
        f"pipelines train {shlex.quote(profile.batch)} --accept-profile",
        RefusedProfile(
            run_id=run_id,
            rows=profile.rows,
            findings=tuple(found[:_TOLD]),
            dropped={rule: _short(count / profile.rows) for rule, count in profile.unusable.items()},
            missing={name: _short(share) for name, share in profile.missing.items()},
            medians={name: _short(value) for name, value in profile.medians.items()},
        ),
    )


def _in_words(finding: Finding) -> str:
    was = "" if finding.was is None else f"was {_short(finding.was):,g}, "
    return f"{finding.what} {_short(finding.now):,g} ({was}bound {_short(finding.bound):,g})"


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def findings(profile: Profile, last: Profile | None, bounds: GateSettings) -> list[Finding]:
    """Return in what the profile is beyond the bounds around the last accepted one.

    Without one, only how many rows are of no use is judged.
    """
    if last is None:
        return list(_useless(profile, bounds))
    compared = _Comparison(profile, last, bounds)
    return [*compared.dropped(), *compared.missing(), *compared.unseen(), *compared.moved()]


def _useless(profile: Profile, bounds: GateSettings) -> Iterator[Finding]:
    quarantined = sum(profile.unusable.get(reason, 0) for reason in QUARANTINED)
    dropped = sum(profile.unusable.values()) - quarantined
    for what, count, limit in (
        ("share of rows quarantined", quarantined, bounds.quarantined),
        ("share of rows dropped", dropped, bounds.dropped),
    ):
        if count:
            bound = limit + _chance(limit, bounds.sigmas, profile.rows)
            yield from _above(bound, what, None, count / profile.rows)


@dataclass(frozen=True)
class _Comparison:
    profile: Profile
    last: Profile
    bounds: GateSettings

    def dropped(self) -> Iterator[Finding]:
        """Judge the rows of no use, by rule."""
        for rule, count in self.profile.unusable.items():
            what = f"share of rows {'quarantined' if rule in QUARANTINED else 'dropped'} by {rule}"
            was = self.last.unusable.get(rule, 0) / self.last.rows
            bound = self._bound(was + self.bounds.more_dropped, self.profile.rows, self.last.rows)
            yield from _above(bound, what, was, count / self.profile.rows)

    def missing(self) -> Iterator[Finding]:
        """Judge what is missing, by column."""
        before = self.last.missing
        for column, now in self.profile.missing.items():
            if (was := before.get(column)) is not None:
                bound = self._bound(was + self.bounds.more_missing, self.profile.usable, self.last.usable)
                yield from _above(bound, f"share of {column} missing", was, now)

    def unseen(self) -> Iterator[Finding]:
        """Judge the values of categories that the last batch did not have."""
        for column, now, before in _known(self.profile.categories, self.last.categories):
            if before.complete:  # else a value that is not listed may have been there
                unseen = sum(count for label, count in now.labels.items() if label not in before.labels)
                allowed = _expected_unseen(before) + self.bounds.more_unseen
                bound = self._bound(allowed, now.known, before.known)
                yield from _above(bound, f"share of {column} never seen before", None, unseen / now.known)

    def moved(self) -> Iterator[Finding]:
        """Judge where the numbers are: of each, the quantile that is farthest beyond its bound."""
        levels = dict.fromkeys(_MIDDLE, self.bounds.middle) | dict.fromkeys(_ENDS, self.bounds.ends)
        for name, _, _ in _known(self.profile.numbers, self.last.numbers):
            spread = _spread(self.last, name)
            judged = [self._quantile(name, level, spreads * spread) for level, spreads in levels.items()]
            worst = max(judged, key=lambda finding: abs(finding.now - finding.bound))
            if worst.now != worst.bound and name not in _FREE_TO_MOVE:
                yield worst

    def _quantile(self, number: str, level: float, slack: float) -> Finding:
        """Judge a quantile: one within its bounds is a bound itself."""
        sizes = (one.numbers[number].known for one in (self.profile, self.last))
        chance = _chance(level, self.bounds.sigmas, *sizes)
        # Where chance reaches past the least or the greatest value, nothing is known of what may come.
        below = [at for at in self.last.levels if at <= level - chance]
        above = [at for at in self.last.levels if at >= level + chance]
        low = self.last.quantile(number, below[-1]) - slack if below else -math.inf
        high = self.last.quantile(number, above[0]) + slack if above else math.inf
        was, now = self.last.quantile(number, level), self.profile.quantile(number, level)
        bound = min(max(now, low), high)
        return Finding(what=f"{level:.0%} quantile of {number}", was=was, now=now, bound=bound)

    def _bound(self, allowed: float, *sizes: int) -> float:
        share = min(allowed, 1.0)
        return share + _chance(share, self.bounds.sigmas, *sizes)


def _known(now: Mapping[str, C], before: Mapping[str, C]) -> Iterator[tuple[str, C, C]]:
    """Yield the columns that have values in both batches."""
    for name, column in now.items():
        if column.known and name in before and before[name].known:
            yield name, column, before[name]


def _expected_unseen(category: CategoryProfile) -> float:
    """Return the share of values that are new after ``category``: that of those seen once (Good, 1953)."""
    return sum(count == 1 for count in category.labels.values()) / category.known


def _spread(profile: Profile, number: str) -> float:
    """Return how wide a number is spread: its middle half, or a quarter of nearly all; never zero."""
    low, first, median, third, high = (profile.quantile(number, at) for at in (0.01, 0.25, 0.5, 0.75, 0.99))
    return max(third - first, (high - low) / 4) or abs(median) or 1.0


def _chance(share: float, sigmas: float, *sizes: int) -> float:
    """Return how far apart chance puts the shares that samples of these sizes show of one true share."""
    rows = sum(1 / size for size in sizes)  # one of each: no share is known any better
    return sigmas * math.sqrt(share * (1 - share) * rows) + rows


def _above(bound: float, what: str, was: float | None, now: float) -> Iterator[Finding]:
    if now > bound:
        yield Finding(what=what, was=was, now=now, bound=bound)
