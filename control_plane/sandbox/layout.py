"""Where an embedded system keeps what: one folder, which may be deleted when nothing runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders below ``home``; each is made on first use."""

    home: Path

    @property
    def lock(self) -> Path:
        """The lock of the one process that runs servers here."""
        return self._made(self.home) / "lock"

    @property
    def owner(self) -> Path:
        """The id of that process; left behind only by a crash."""
        return self._made(self.home) / "pid"

    @property
    def ports(self) -> Path:
        """The ports of the last start."""
        return self._made(self.home) / "ports.json"

    @property
    def scratch(self) -> Path:
        """Temporary files of the servers."""
        return self._made(self.home / "tmp")

    def data(self, server: str) -> Path:
        """Return the folder of a server's data."""
        return self._made(self.home / "data" / server)

    def config(self, name: str) -> Path:
        """Return the path of a configuration file."""
        return self._made(self.home / "conf") / name

    def log_file(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._made(self.home / "logs") / f"{name}.log"

    def environment(self, java: Path) -> dict[str, str]:
        """Return a server's environment: this process's, with Java, and glibc kept from hoarding memory."""
        return {**os.environ, "JAVA_HOME": str(java), "MALLOC_ARENA_MAX": "2"}

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
