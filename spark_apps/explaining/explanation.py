"""From contributions on the scale of logarithms to dollars."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from control_plane.explanations import Moved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class MemberPrice:
    """What a member says: ``exp(base)`` dollars of the average row, ``price`` of this one, and what moved it.

    ``contributions`` are by attribute, on the scale of logarithms.
    """

    weight: float
    price: float
    base: float
    contributions: Mapping[str, float]


@dataclass(frozen=True)
class StackPrice:
    """The stack's price of the average row and of this one, and what moved it from there; dollars."""

    base: float
    price: float
    dollars: Mapping[str, float]


def stack_price(members: Sequence[MemberPrice], intercept: float) -> StackPrice:
    """Share the stack's price, Σ weight · member's price + intercept, out among the attributes.

    A member's price is the exponential of a sum. Its distance in dollars from its base is shared out in
    proportion to the contributions: each counts with the logarithmic mean of both prices,
    (p - b) / (ln p - ln b). That is the exact decomposition of Ang 2005 ("The LMDI approach to decomposition
    analysis: a practical guide"), and what integrated gradients give along the straight line from the base
    (Aumann and Shapley 1974; Sundararajan et al. 2017), which add up over members as their prices do.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for member in members:
        dollars = _dollars_a_unit(member)
        for attribute, contribution in member.contributions.items():
            total[attribute] += member.weight * dollars * contribution
    base = intercept + math.fsum(member.weight * math.exp(member.base) for member in members)
    price = intercept + math.fsum(member.weight * member.price for member in members)
    return _not_below_zero(StackPrice(base, price, total))


def _not_below_zero(stack: StackPrice) -> StackPrice:
    """Hold both prices at 0 as the model does, and what moved them in proportion."""
    base, price = max(0.0, stack.base), max(0.0, stack.price)
    if (base, price) == (stack.base, stack.price) or stack.base == stack.price:
        return StackPrice(base, price, stack.dollars)
    share = (price - base) / (stack.price - stack.base)
    return StackPrice(base, price, {name: share * dollars for name, dollars in stack.dollars.items()})


def _dollars_a_unit(member: MemberPrice) -> float:
    moved = math.fsum(member.contributions.values())
    return (member.price - math.exp(member.base)) / moved if moved else member.price


def percent(dollars: float, stack: StackPrice) -> float | None:
    """Return the percent by which so many dollars raised the price on its way from the base.

    All of them multiply to price / base; with one member they are exactly what its contributions say.
    """
    base, price = stack.base, stack.price
    if min(price, base) <= 0:
        return None
    mean = base if math.isclose(price, base) else (price - base) / math.log(price / base)
    return 100 * math.expm1(dollars / mean)


def rows(
    stack: StackPrice, columns: Mapping[str, Sequence[str]], listing: Mapping[str, str | None]
) -> tuple[Moved, ...]:
    """Return a row for each attribute, those that moved the price most first.

    ``columns`` are the raw ones behind an attribute, ``listing`` has the texts of all raw columns.
    """
    ordered = sorted(stack.dollars.items(), key=lambda item: -abs(item[1]))
    return tuple(
        Moved(name, listing.get(name), amount, percent(amount, stack), tuple(columns[name]))
        for name, amount in ordered
    )
