"""Java programs and libraries from the Maven repositories, through jgo."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from filelock import FileLock

from control_plane.sandbox import class_data, jar_lock
from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jgo.maven import Artifact

log = structlog.get_logger()

# slf4j-simple writes to standard error, which is each server's log file; neither brings a backend of its own.
_LOGGING = "org.slf4j:slf4j-simple:1.7.36"

KAFKA = ("org.apache.kafka:kafka_2.13:4.3.1", _LOGGING)
# The published jars of the NameNode and the DataNode, and not the shaded hadoop-client-minicluster: at start
# the NameNode's web server reads through every jar that holds its resources, three times; 7 MB, not 60.
HADOOP = (
    "org.apache.hadoop:hadoop-hdfs:3.5.0",
    "org.apache.hadoop:hadoop-hdfs-client:3.5.0",
    "org.apache.hadoop:hadoop-common:3.5.0",
    _LOGGING,
)

_CENTRAL = "https://repo.maven.apache.org/maven2"
_DOWNLOADS_AT_ONCE = 8
_ATTEMPTS = 3


def jars(coordinates: Sequence[str]) -> list[Path]:
    """Return the jar files of ``coordinates`` (group:artifact:version) and all that they depend on.

    They live in the usual Maven cache, ~/.m2/repository, with the hashes of ``jars.lock`` if it has the
    coordinates, and are resolved otherwise. The answer is remembered in this Python environment, as
    looking takes a second. Raises :class:`SandboxError` when something cannot be had.
    """
    memory = _memory(coordinates)
    if known := _recall(memory):
        return known
    with FileLock(memory.with_suffix(".lock")):
        if known := _recall(memory):
            return known
        found = _fetch(coordinates)
        memory.write_text("".join(f"{path}\n" for path in found))
        return found


def fetched(coordinates: Sequence[str]) -> bool:
    """Whether :func:`jars` would find all of them here, without a network."""
    return bool(_recall(_memory(coordinates)))


def _memory(coordinates: Sequence[str]) -> Path:
    digest = hashlib.sha256("\n".join(coordinates).encode()).hexdigest()[:16]
    return class_data.folder() / f"jars-{digest}.txt"


def _recall(memory: Path) -> list[Path]:
    """Return what was found before, if every file of it is still there."""
    try:
        known = [Path(line) for line in memory.read_text().splitlines()]
    except OSError:
        return []
    return known if all(path.exists() for path in known) else []


def _fetch(coordinates: Sequence[str]) -> list[Path]:
    log.info("jars.fetching", coordinates=list(coordinates))
    try:
        if wanted := jar_lock.locked(coordinates):
            return jar_lock.fetch(wanted, repository(), [*_repositories().values(), _CENTRAL])
        return resolve(coordinates)
    except (OSError, RuntimeError, ValueError) as error:
        raise SandboxError(
            f"Cannot fetch {', '.join(coordinates)}: {error}; check the connection to the Maven repository "
            "(a mirror is named in the section [repositories] of ~/.config/jgo.conf)."
        ) from error


def resolve(coordinates: Sequence[str]) -> list[Path]:
    """Return the jars that the repositories say these are, whatever ``jars.lock`` says."""
    import jgo  # noqa: PLC0415 - it takes 0.3 s, which every start of a Spark app would pay for nothing

    artifacts = jgo.resolve("+".join(coordinates), repositories=_repositories())
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        return list(pool.map(_download, artifacts))


def repository() -> Path:
    """Return the local Maven repository, which is jgo's and Maven's as well."""
    from jgo.config import GlobalSettings  # noqa: PLC0415 - as jgo itself

    return Path(os.environ.get("M2_REPO") or GlobalSettings.load().repo_cache)


def _repositories() -> dict[str, str]:
    from jgo.config import GlobalSettings  # noqa: PLC0415 - as jgo itself

    return dict(GlobalSettings.load().repositories)


def _download(artifact: Artifact) -> Path:
    """Fetch one jar; again when the network fails, or an interrupted download left it half-written."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = Path(artifact.resolve())
        except OSError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(attempt)
            continue
        if zipfile.is_zipfile(path):
            return path
        path.unlink()
    raise SandboxError(f"{artifact} is not a jar file after {_ATTEMPTS} downloads")
