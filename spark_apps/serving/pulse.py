"""Whether a server that is ready still lives: it touches a file every second, and hangs when it does not."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_FRESH_S = 5.0


@dataclass
class Pulse:
    """Looks at a heartbeat file by the own clock alone: what counts is when it was last seen to change.

    So neither a clock that is set nor a pause of the one who looks makes a server seem to hang.
    """

    file: Path
    clock: Callable[[], float] = time.monotonic
    _touched: int = 0
    _changed_at: float | None = None

    @property
    def beats(self) -> bool:
        """Whether the file is there and was seen to change a moment ago."""
        return self.silent_s() < _FRESH_S and self._touched > 0

    def expect(self) -> None:
        """Count silence from now on: before, nobody was to touch the file."""
        self._changed_at = self.clock()

    def silent_s(self) -> float:
        """Return for how many seconds the file has not been seen to change; from the first look on."""
        touched = 0
        with suppress(FileNotFoundError):
            touched = self.file.stat().st_mtime_ns
        if touched != self._touched or self._changed_at is None:
            self._touched, self._changed_at = touched, self.clock()
        return self.clock() - self._changed_at
