"""What is answered and what is not, of one partition: the output topic is the ledger. Pure.

Fed with the records of ``listings[p]`` and ``predictions[p]`` as they are read, each from the marker on
and each in its own order; how far one is ahead of the other does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Marker:
    """Where a later reader may begin, each an offset.

    Every request below ``listings`` is answered, and every answer to one from there on stands at
    ``predictions`` or later.
    """

    listings: int
    predictions: int


@dataclass(frozen=True)
class Resume:
    """Where a query has to begin, and the answered offsets above it as half-open ranges to pass over."""

    offset: int
    answered: tuple[tuple[int, int], ...] = ()


@dataclass
class PartitionLedger:
    """The state of one partition; its memory is what is read and not yet answered."""

    listed: int  # the next offset of listings to be read
    answers_read: int  # the next offset of predictions to be read
    epoch: int = 0  # the highest seen
    # Requests without an answer, ascending, each with where its answer can stand at the earliest.
    _waiting: dict[int, int] = field(default_factory=dict)
    # Answers to requests that are yet to be read, with where they stand, in the order of reading.
    _early: dict[int, int] = field(default_factory=dict)

    @classmethod
    def from_marker(cls, marker: Marker) -> PartitionLedger:
        """Begin where the marker says."""
        return cls(marker.listings, marker.predictions)

    def read_listing(self, offset: int, *, needs_answer: bool) -> None:
        """Take note of the record at ``offset``. Offsets left out hold no record (a transaction's marks)."""
        if self._early.pop(offset, None) is None and needs_answer:
            self._waiting[offset] = self._answers_from()
        self.listed = offset + 1

    def read_answer(self, position: int, offset: int, epoch: int) -> None:
        """Take note of the answer at ``position`` of predictions to the request at ``offset``."""
        self.answers_read = position + 1
        self.epoch = max(self.epoch, epoch)
        if offset >= self.listed:
            self._early.setdefault(offset, position)
        else:
            self._waiting.pop(offset, None)

    def listings_end(self, end: int) -> None:
        """Take note that there is no record between the last one read and ``end``."""
        self.listed = max(self.listed, end)

    def answers_end(self, end: int) -> None:
        """Take note that there is no answer between the last one read and ``end``."""
        self.answers_read = max(self.answers_read, end)

    def forget_answers_to_nothing(self) -> list[int]:
        """Drop answers to requests that are not there, once listings has been read to its end."""
        forgotten = list(self._early)
        self._early.clear()
        return forgotten

    @property
    def unanswered(self) -> int:
        """How many requests have been read and have no answer yet."""
        return len(self._waiting)

    @property
    def answers_ahead(self) -> bool:
        """Whether answers have been read whose requests have not."""
        return bool(self._early)

    def _answers_from(self) -> int:
        # The earliest answer that can matter: the first of those read too early, else one not yet read.
        return next(iter(self._early.values()), self.answers_read)

    def marker(self) -> Marker:
        """Return where a later reader may begin: at the first request not known to be answered."""
        for offset, answers_from in self._waiting.items():
            return Marker(offset, answers_from)
        return Marker(self.listed, self._answers_from())

    def resume(self) -> Resume:
        """Return where a query begins so that each request gets one answer, holes included."""
        # Below `listed` everything but the waiting is done; from there on only the early answers are.
        needed = [*self._waiting, self.listed]
        done = [(left + 1, right) for left, right in pairwise(needed)]
        done += [(offset, offset + 1) for offset in sorted(self._early)]
        return Resume(needed[0], _merged(done))


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Drop empty ranges and join those that touch; ``ranges`` ascend."""
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if start == end:
            continue
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return tuple(merged)
