"""How long answers took: a sliding window of bins, each a histogram, so that memory does not grow. Pure.

All times are the broker's (LogAppendTime), so a latency is a difference of two readings of one clock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

BIN_S = 5
BINS = 180
SUMMARY_S = 60
RATE_S = 10
_EXACT_BITS = 6  # below 2**6 ms every ms counts for itself, above the error is 1 in 32


def bucket(ms: int) -> int:
    """Return the number of the bucket that holds a latency; buckets widen as those of HdrHistogram."""
    shift = max(0, ms.bit_length() - _EXACT_BITS)
    return (shift << (_EXACT_BITS - 1)) + (ms >> shift)


def upper_edge(number: int) -> int:
    """Return the longest latency that a bucket holds, in ms."""
    shift = max(0, (number >> (_EXACT_BITS - 1)) - 1)
    return ((number - (shift << (_EXACT_BITS - 1)) + 1) << shift) - 1


@dataclass
class Bin:
    """The answers of a few seconds."""

    buckets: Counter[int] = field(default_factory=Counter)
    answered: int = 0
    rejected: int = 0
    worst: int = 0

    def take(self, ms: int, *, rejected: bool) -> None:
        """Count an answer."""
        self.buckets[bucket(ms)] += 1
        self.answered += 1
        self.rejected += rejected
        self.worst = max(self.worst, ms)

    def percentile(self, share: float) -> int | None:
        """Return the latency within which a share of the answers came, never told too short by a bucket."""
        passed = 0
        for number in sorted(self.buckets):
            passed += self.buckets[number]
            if passed >= share * self.answered:
                return min(upper_edge(number), self.worst)
        return None

    @classmethod
    def of(cls, bins: Iterable[Bin]) -> Bin:
        """Return several bins as one."""
        whole = cls()
        for one in bins:
            whole.buckets.update(one.buckets)
            whole.answered += one.answered
            whole.rejected += one.rejected
            whole.worst = max(whole.worst, one.worst)
        return whole


class Latencies:
    """The last quarter of an hour, in bins of five seconds."""

    def __init__(self) -> None:
        self._bins: OrderedDict[int, Bin] = OrderedDict()

    def take(self, answered_ms: int, late_ms: int, *, rejected: bool) -> None:
        """Count an answer that was recorded at ``answered_ms`` and came ``late_ms`` after its request."""
        number = answered_ms // (BIN_S * 1000)
        if number not in self._bins:
            self._bins[number] = Bin()
            while len(self._bins) > BINS:
                del self._bins[min(self._bins)]
            if number not in self._bins:
                return  # older than all that is kept
        self._bins[number].take(max(0, late_ms), rejected=rejected)

    def summary(self, now: float) -> dict[str, Any]:
        """Return the last minute in figures; ``now`` is Unix time."""
        last = self._since(now, SUMMARY_S)
        # Only whole bins, so that the rate does not swing with the one that is being filled.
        rate = sum(self._bins.get(number, Bin()).answered for number in self._whole(now, RATE_S)) / RATE_S
        return {
            "answered": last.answered,
            "rejected": last.rejected,
            "rate": rate,
            "p50": last.percentile(0.5),
            "p99": last.percentile(0.99),
            "worst": last.worst if last.answered else None,
        }

    def series(self, now: float) -> dict[str, Any]:
        """Return a column a figure, an entry a bin, null where nothing was answered."""
        numbers = list(self._whole(now, BIN_S * BINS))
        while numbers and numbers[0] not in self._bins:
            numbers.pop(0)
        bins = [self._bins.get(number, Bin()) for number in numbers]
        return {
            "times": [(number + 1) * BIN_S for number in numbers],
            "p50": [one.percentile(0.5) for one in bins],
            "p99": [one.percentile(0.99) for one in bins],
            "worst": [one.worst if one.answered else None for one in bins],
            "rate": [one.answered / BIN_S for one in bins],
        }

    def _whole(self, now: float, seconds: float) -> range:
        current = int(now) // BIN_S
        return range(current - int(seconds) // BIN_S, current)

    def _since(self, now: float, seconds: float) -> Bin:
        oldest = (now - seconds) // BIN_S
        return Bin.of(one for number, one in self._bins.items() if number >= oldest)
