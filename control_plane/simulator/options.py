"""Which options a car has, how the dataset lists them, and what they add to its price."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import compress

import numpy as np

from control_plane.simulator.facts import Bools, Floats, Ints, Texts, rows_of, texts

_BITS = 14  # options are listed by two tables of 2**14 texts, one for each half


@dataclass(frozen=True)
class Options:
    """One entry an option: share of cars with it, how much more in rich trims, first year, price effect."""

    share: Floats
    richer: Floats
    since: Floats
    effect: Floats
    halves: tuple[Texts, Texts]

    def chance(self, richness: Floats, year: Ints) -> Floats:
        """Probability of each option (columns) on each car (rows)."""
        chance = self.share + self.richer * (richness[:, None] - 0.4)
        # an option spreads over the five years after it appears
        offered = np.clip((year[:, None] - self.since + 1) / 5, 0.0, 1.0)
        return np.clip(chance, 0.01, 0.97) * offered

    def listed(self, fitted: Bools) -> list[str]:
        """``['Bluetooth', 'Heated Seats']``, or nothing where there is nothing to list."""
        weights = 1 << np.arange(_BITS)
        first = self.halves[0][fitted[:, :_BITS] @ weights].tolist()
        second = self.halves[1][fitted[:, _BITS:] @ weights].tolist()
        both = zip(first, second, strict=True)
        return [f"[{a}, {b}]" if a and b else f"[{a}{b}]" if a or b else "" for a, b in both]


@lru_cache(maxsize=1)
def load_options() -> Options:
    """Read the table and lay out the lists once a process."""
    rows = rows_of("options")
    names = [f"'{row['option']}'" for row in rows]
    numbers = {
        column: np.array([float(row[column]) for row in rows])
        for column in ("share", "richer", "since", "effect")
    }
    return Options(**numbers, halves=(_subsets(names[:_BITS]), _subsets(names[_BITS:])))


def _subsets(names: list[str]) -> Texts:
    listed = ((mask >> bit & 1 for bit in range(len(names))) for mask in range(1 << len(names)))
    return texts([", ".join(compress(names, chosen)) for chosen in listed])
