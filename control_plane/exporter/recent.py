"""Bounded memory: what was used last is kept, the rest is forgotten. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, ItemsView

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values of the ``most`` keys that were used last. ``forgotten`` is told each key that had to go."""

    def __init__(
        self, most: int, make: Callable[[], V], forgotten: Callable[[K], object] = lambda _: None
    ) -> None:
        self._most = most
        self._make = make
        self._forgotten = forgotten
        self._kept: OrderedDict[K, V] = OrderedDict()

    def use(self, key: K) -> V:
        """Return the key's value, made by ``make`` where there is none."""
        if key not in self._kept:
            self._kept[key] = self._make()
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._forgotten(self._kept.popitem(last=False)[0])
        return self._kept[key]

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def items(self) -> ItemsView[K, V]:
        """Return what is kept, the key used last at the end."""
        return self._kept.items()
