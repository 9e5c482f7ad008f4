"""``jars.lock``: which jars the project's coordinates resolve to, and the SHA-256 of each.

To resolve them anew means to fetch more than a thousand POMs one after the other, which takes minutes, and to
trust whatever comes. The file is made by ``make lock``. A section is a set of coordinates; its lines are as
``sha256sum`` writes them, with paths of a Maven repository.
"""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOCK = Path(__file__).with_name("jars.lock")

_HEAD = "# Made by `make lock`: what each set of Maven coordinates resolves to.\n"
_DOWNLOADS_AT_ONCE = 8
_ATTEMPTS = 3
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Jar:
    """A jar by its path in any Maven repository, and the hash of its bytes."""

    path: str
    sha256: str


def locked(coordinates: Sequence[str], lock: Path = LOCK) -> list[Jar]:
    """Return the jars of a set of coordinates, in the order of the classpath; none for a set not locked."""
    found: dict[str, list[Jar]] = {}
    section: list[Jar] = []
    for line in lock.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            sha256, path = line.split()
            section.append(Jar(path, sha256))
    return found.get(_name(coordinates), [])


def write(sets: Mapping[Sequence[str], Sequence[Path]], repository: Path, lock: Path = LOCK) -> None:
    """Lock sets of coordinates to jars that lie in a local repository."""
    lock.write_text(_HEAD + "".join(_section(one, jars, repository) for one, jars in sets.items()))


def _section(coordinates: Sequence[str], jars: Sequence[Path], repository: Path) -> str:
    lines: Iterator[str] = (f"{_sha256(jar)}  {jar.relative_to(repository)}\n" for jar in jars)
    return f"\n[{_name(coordinates)}]\n" + "".join(lines)


def fetch(jars: Sequence[Jar], repository: Path, remotes: Sequence[str]) -> list[Path]:
    """Return the files of jars in a local repository, those that are missing or broken from a remote one.

    Raises :class:`SandboxError` for one that has another hash everywhere, OSError when nobody has it.
    """
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        return list(pool.map(lambda jar: _fetched(jar, repository / jar.path, remotes), jars))


def _fetched(jar: Jar, file: Path, remotes: Sequence[str]) -> Path:
    if file.exists() and _sha256(file) == jar.sha256:
        return file
    content = _download(jar, remotes)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(file)
    return file


def _download(jar: Jar, remotes: Sequence[str]) -> bytes:
    error: Exception = SandboxError("no Maven repository is known")
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt)
        for remote in remotes:
            try:
                answer = requests.get(f"{remote.rstrip('/')}/{jar.path}", timeout=_TIMEOUT_S)
                answer.raise_for_status()
            except OSError as failed:
                error = failed
                continue
            if hashlib.sha256(answer.content).hexdigest() == jar.sha256:
                return answer.content
            error = SandboxError(f"{remote} has another {jar.path} than jars.lock says: do not trust it")
    raise error


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _name(coordinates: Sequence[str]) -> str:
    return "+".join(coordinates)
