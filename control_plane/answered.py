"""Whether every request has exactly one answer, from ``listings`` and ``predictions`` alone. Pure.

For a partition it keeps two bits a record of ``listings``, a quarter of a MB for a million of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from control_plane import prices, records


@dataclass
class Counts:
    """What was counted; of several partitions they add up.

    ``lost`` requests have no answer though a later one of their partition has, ``waiting`` ones none yet.
    ``repeated`` are answers to requests that had one: the rule for reading discards them. ``out_of_order``
    are first answers to a request before one that was answered already. ``stray`` answers are to a price, or
    lie in another partition than their request. ``aged_out`` are answers to requests that the topic does not
    hold any more, ``newer`` those to requests that came after the audit began, ``unreadable`` no answers.
    """

    requests: int = 0
    prices: int = 0
    answered: int = 0
    rejected: int = 0
    waiting: int = 0
    lost: int = 0
    repeated: int = 0
    out_of_order: int = 0
    stray: int = 0
    aged_out: int = 0
    newer: int = 0
    unreadable: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def broken(self) -> list[str]:
        """Say in words what breaks the promise; nothing when it is kept."""
        said = {
            "lost": "{} requests have no answer though later ones have",
            "out_of_order": "{} answers came before those to earlier requests",
            "stray": "{} answers are to no request of their partition",
            "unreadable": "{} records of predictions are no answers",
        }
        return [text.format(f"{getattr(self, name):,}") for name, text in said.items() if getattr(self, name)]


class _Bits:
    """A bit for each offset from ``first`` to before ``end``."""

    def __init__(self, first: int, end: int) -> None:
        self._first = first
        self._bits = bytearray((end - first + 7) // 8)

    def __contains__(self, offset: int) -> bool:
        place = offset - self._first
        return bool(self._bits[place >> 3] & 1 << (place & 7))

    def add(self, offset: int) -> None:
        place = offset - self._first
        self._bits[place >> 3] |= 1 << (place & 7)


@dataclass
class PartitionAudit:
    """Takes a partition's records of ``listings``, from ``first`` to before ``end``, and then its answers."""

    partition: int
    first: int
    end: int
    counts: Counts = field(default_factory=Counts)
    epochs: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._requests = _Bits(self.first, self.end)
        self._answered = _Bits(self.first, self.end)
        self._last = -1  # the last request that has an answer

    def take_listing(self, offset: int, value: bytes | None) -> None:
        """Take a record of ``listings``."""
        if prices.is_price(value):
            self.counts.prices += 1
        else:
            self.counts.requests += 1
            self._requests.add(offset)

    def take_prediction(self, value: bytes | None) -> None:
        """Take a record of ``predictions``, in the order of the topic."""
        try:
            answer = records.answer(value)
        except records.RecordError:
            self.counts.unreadable += 1
            return
        self.epochs.add(answer.epoch)
        if answer.partition != self.partition:
            self.counts.stray += 1
        elif answer.offset >= self.end:
            self.counts.newer += 1
        elif answer.offset < self.first:
            self.counts.aged_out += 1
        elif answer.offset not in self._requests:
            self.counts.stray += 1
        elif answer.offset in self._answered:
            self.counts.repeated += 1
        else:
            self._take_first(answer)

    def _take_first(self, answer: records.Answer) -> None:
        self._answered.add(answer.offset)
        self.counts.answered += 1
        self.counts.rejected += answer.status == "rejected"
        self.counts.out_of_order += answer.offset < self._last
        self._last = max(self._last, answer.offset)

    def close(self) -> Counts:
        """Return the counts, once all records were taken."""
        for offset in range(self.first, self.end):
            if offset in self._requests and offset not in self._answered:
                if offset < self._last:
                    self.counts.lost += 1
                else:
                    self.counts.waiting += 1
        return self.counts
