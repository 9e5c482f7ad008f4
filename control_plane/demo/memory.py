"""How much memory this process and all it started take together."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Self

import psutil

_EVERY_S = 10.0  # the kernel walks through all the pages


class PeakMemory:
    """Samples the memory of the process tree while the context lasts; ``gib`` is the most that it took.

    Proportional set size: a page that several processes share counts once.
    """

    def __init__(self) -> None:
        self.gib = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            self.gib = max(self.gib, tree_bytes() / 2**30)


def tree_bytes() -> int:
    """Return what this process and its descendants take now, in bytes."""
    total = 0
    this = psutil.Process()
    for process in [this, *this.children(recursive=True)]:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total
