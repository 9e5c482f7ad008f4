"""The folder of a server's scratch files, named so that those of dead servers can be swept away."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from spark_apps.serving.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = "car-price-serving"


def make(parent: Path) -> Path:
    """Make this process's folder and have all its temporary files go there."""
    folder = parent / f"{_PREFIX}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)  # of a dead process with the same id
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)
    return folder


def sweep(parent: Path) -> None:
    """Remove the folders of servers that are no more."""
    for folder in parent.glob(f"{_PREFIX}-*"):
        if Process.of(int(folder.name.rpartition("-")[2])) is None:
            shutil.rmtree(folder, ignore_errors=True)
