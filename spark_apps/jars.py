"""Puts the jars that the apps need beyond Spark's own into the installed pyspark.

Run as ``python -m spark_apps.jars``. There the jars are on the classpath of every session, with no
``spark.jars.packages`` and no network at start. With ``--missing`` it only prints, as a JSON list, what it
would install; with ``--lock`` it only writes ``control_plane/sandbox/jars.lock``, the servers' jars included.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import shutil
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from control_plane import logs
from control_plane.sandbox import artifacts, class_data, jar_lock
from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger()

COORDINATES = (
    f"org.apache.spark:spark-sql-kafka-0-10_2.13:{importlib.metadata.version('pyspark')}",
    "ml.dmlc:xgboost4j-spark_2.13:3.1.1",
)

# Spark's WebHDFS client looks for a class of Jersey in Hadoop's shaded packages that hadoop-client-runtime
# 3.5.0 leaves out ("ClassNotFoundException: ...jersey.internal.RuntimeDelegateImpl"); of the artifacts that
# have it, this is the one made to stand beside it. Only these packages are taken from its 56 MB.
JERSEY_FROM = "org.apache.hadoop:hadoop-client-minicluster:3.5.0"
_JERSEY_PACKAGES = "org/apache/hadoop/shaded/org/glassfish/jersey/"
JERSEY_JAR = "hadoop-shaded-jersey-3.5.0.jar"

# Artifacts whose classes Spark ships under another artifact's name. A second copy would be taken or not
# by the order of files in a folder.
SHIPPED_AS = {"kryo": "kryo-shaded", "reflectasm": "kryo-shaded", "commons-logging": "jcl-over-slf4j"}

_MARKER = "car-price-pipelines.json"
_JAR_NAME = re.compile(r"(?P<artifact>.+)-\d+(\.[\w+]+)*(-[A-Za-z]\w*)*\.jar")


def jars_folder() -> Path:
    """Return the folder of the installed pyspark's jars; it is found, not imported, which takes a second."""
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None  # its version was asked for above  # noqa: S101
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).parent / "jars"


def class_archive(java: Path) -> Path:
    """Return the class archive of Spark with its jars on this Java; see ``spark_apps.record_classes``."""
    return class_data.archive_file("spark-apps", java, sorted(jars_folder().glob("*.jar")))


def missing(folder: Path | None = None) -> list[str]:
    """Return the coordinates of what is not installed in ``folder``, by default pyspark's."""
    target = folder or jars_folder()
    installed, wanted = _installed(target), [*COORDINATES, JERSEY_FROM]
    if not all((target / name).exists() for name in installed.jars):
        return wanted
    return [coordinate for coordinate in wanted if coordinate not in installed.coordinates]


def additions(wanted: list[Path], shipped: list[str]) -> list[Path]:
    """Return those of the ``wanted`` jars (paths in a Maven repository) of which Spark ships no version."""
    names = {artifact_name(name) for name in shipped}
    return [
        path
        for path in wanted
        if (artifact := path.parent.parent.name) not in names and SHIPPED_AS.get(artifact) not in names
    ]


def artifact_name(jar: str) -> str:
    """Return the artifact of a jar's file name: "kafka-clients" of "kafka-clients-3.9.2.jar"."""
    match = _JAR_NAME.fullmatch(jar)
    return match["artifact"] if match else jar.removesuffix(".jar")


def install(folder: Path | None = None) -> list[str]:
    """Install what is missing and return the names of the jars; those of an earlier version are removed."""
    target = folder or jars_folder()
    before = _installed(target)
    if not missing(target):
        return before.jars
    for name in before.jars:
        (target / name).unlink(missing_ok=True)
    (target / _MARKER).unlink(missing_ok=True)
    added = additions(artifacts.jars(COORDINATES), [path.name for path in target.glob("*.jar")])
    for path in added:
        shutil.copyfile(path, target / path.name)
    jersey = _itself(JERSEY_FROM, artifacts.jars((JERSEY_FROM,)))
    _extract(jersey, _JERSEY_PACKAGES, target / JERSEY_JAR)
    now = Installed([*COORDINATES, JERSEY_FROM], [*(path.name for path in added), JERSEY_JAR])
    (target / _MARKER).write_text(json.dumps(asdict(now)))
    log.info("jars.installed", jars=now.jars)
    return now.jars


def lock() -> None:
    """Resolve all coordinates anew, and write down what they are now."""
    sets: dict[Sequence[str], list[Path]] = {
        one: artifacts.resolve(one) for one in (artifacts.KAFKA, artifacts.HADOOP, COORDINATES)
    }
    sets[JERSEY_FROM,] = [_itself(JERSEY_FROM, artifacts.resolve((JERSEY_FROM,)))]
    jar_lock.write(sets, artifacts.repository())


def _itself(coordinate: str, found: list[Path]) -> Path:
    """Return the jar of ``coordinate`` itself, without those that it depends on."""
    name = coordinate.split(":")[1]
    return next(path for path in found if artifact_name(path.name) == name)


def _extract(jar: Path, packages: str, to: Path) -> None:
    """Write those entries of ``jar`` whose names begin with ``packages`` to the jar ``to``."""
    with zipfile.ZipFile(jar) as source, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            if entry.filename.startswith(packages):
                target.writestr(entry, source.read(entry))


@dataclass(frozen=True)
class Installed:
    """What an earlier run has put into the folder; it is written down last, so that it is there in full."""

    coordinates: list[str]
    jars: list[str]


def _installed(folder: Path) -> Installed:
    try:
        return Installed(**json.loads((folder / _MARKER).read_text()))
    except (OSError, ValueError, TypeError):
        return Installed([], [])


if __name__ == "__main__":
    logs.configure()
    if sys.argv[1:] == ["--missing"]:
        sys.stdout.write(json.dumps(missing()) + "\n")
        sys.exit()
    try:
        lock() if sys.argv[1:] == ["--lock"] else install()
    except SandboxError as error:
        sys.exit(str(error))
