"""The digest by which a server knows that a model's files are those that training registered."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def digest(folder: Path) -> str:
    """Return the SHA-256, in hex, of a saved Spark model: of every file's path in ``folder`` and content.

    Hidden files (Hadoop's ``.crc``) are left out: they do not survive every copy, and hold nothing.
    """
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name.startswith("."):
            continue
        with path.open("rb") as content:
            of_content = hashlib.file_digest(content, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{of_content}\n".encode())
    return total.hexdigest()
