"""A world that has moved on since the training: other cars are offered, and they fetch less. Pure."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DEAR_MAKES = frozenset({"Audi", "BMW", "Lexus", "Mercedes-Benz"})

_MORE_MILES = 2.0  # at strength 1, added to each as a share of its own
_CHEAPER = 0.35


def drifting(
    listings: Iterable[Mapping[str, str]], strength: float, seed: int = 1
) -> Iterator[dict[str, str]]:
    """Yield listings that have drifted by ``strength``: 0 leaves them as they are, 1 is another market.

    At 1 only dear makes are left, with three times the miles, and a car fetches 35 % less than it did: the
    inputs drift, and so do the errors of a model that knows the old prices.
    """
    source = random.Random(seed)
    for listing in listings:
        if listing["make_name"] in DEAR_MAKES or source.random() >= strength:
            yield {
                **listing,
                "mileage": _times(listing["mileage"], 1 + _MORE_MILES * strength),
                "price": _times(listing["price"], 1 - _CHEAPER * strength),
            }


def _times(number: str, factor: float) -> str:
    return f"{float(number) * factor:.1f}" if number else number
