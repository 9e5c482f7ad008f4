"""What an explanation holds: the process with Spark writes it, the command line and pages read it."""

from __future__ import annotations

import msgspec


class Moved(msgspec.Struct, frozen=True):
    """By how much an attribute moved the price: dollars that add up, and percent that multiply.

    ``columns`` are the raw columns behind it, ``value`` the listing's text in the one of that name.
    """

    attribute: str
    value: str | None
    dollars: float
    percent: float | None
    columns: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """A price, what it is made of, and what moved it; money in dollars.

    ``price`` to ``members`` are what serving answers, in whole cents. ``base`` is the price of the average
    training row; ``base`` and all ``dollars`` of ``attributes`` (those that move most first) add up to the
    price, and all ``percent`` multiply to its ratio. ``remark`` names values that could not be read.
    """

    model_version: int
    price: float
    low: float
    high: float
    members: dict[str, float]
    weights: dict[str, float]
    base: float
    attributes: tuple[Moved, ...]
    remark: str | None
