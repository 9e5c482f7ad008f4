"""Digests: whether a model's files are those that training registered, and which code made it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from control_plane import __version__


def code_version() -> str:
    """Return this code's version with a digest of its Python files: ``0.1.0+1f2e3d4c5b6a``."""
    total = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return f"{__version__}+{total.hexdigest()[:12]}"


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
