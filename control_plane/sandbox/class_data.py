"""Archives of loaded classes (the JVM's class data sharing), with which a Java program starts twice as fast.

An archive is recorded once, at set-up, and only ever makes a start quicker: the JVM checks that the jars and
the Java are those it was recorded with, and loads classes in the ordinary way when not.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# An archive that does not fit is no news: say nothing.
_QUIET = "-Xlog:cds=off,cds+dynamic=off,class+path=off"

# Java moves an archive to an address by chance, which hardens it (JDK-8294323), but makes all of it memory of
# that process alone: 238 MB of Spark's, of which processes share most where it lies as it was recorded.
_IN_PLACE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=0")


def archive_file(program: str, java: Path, jars: Iterable[Path]) -> Path:
    """Return where the archive of ``program`` lives for this Java and these jars, recorded or not."""
    facts = [str(java.resolve()), *(f"{jar} {jar.stat().st_size}" for jar in jars)]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return folder() / f"{program}-{digest}.jsa"


def folder() -> Path:
    """Return the folder of this Python environment in which the project keeps what it can make again."""
    path = Path(sys.prefix) / "share" / "pipelines"
    path.mkdir(parents=True, exist_ok=True)
    return path


def use(archive: Path) -> list[str]:
    """Return the JVM options that use an archive, if it was recorded."""
    return [f"-XX:SharedArchiveFile={archive}", *_IN_PLACE, _QUIET] if archive.exists() else []


def record(archive: Path) -> list[str]:
    """Return the JVM options that record an archive when the program ends in order; :func:`keep` it then."""
    return [f"-XX:ArchiveClassesAtExit={_unfinished(archive)}", _QUIET]


def keep(archive: Path) -> bool:
    """Put a recorded archive in place of the program's earlier ones. False if the program recorded none."""
    if not _unfinished(archive).exists():
        return False
    program, _, _ = archive.stem.rpartition("-")
    for earlier in archive.parent.glob(f"{program}-*.jsa"):
        earlier.unlink()
    _unfinished(archive).replace(archive)
    return True


def _unfinished(archive: Path) -> Path:
    return archive.with_suffix(".unfinished")
