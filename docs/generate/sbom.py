"""A bill of materials (CycloneDX 1.6, JSON) of what the system runs on: ``python -m docs.generate.sbom``.

The Python packages are those of ``requirements.lock``, with its hashes; licences and dependencies are as the
installed packages tell them. The jars are those that set-up has fetched beyond pyspark's own. The same lock
and jars give the same bytes: there is no time in it, and its serial number follows from its content.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from control_plane import __version__
from control_plane.sandbox import artifacts
from spark_apps import jars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json: TypeAlias = dict[str, Any]

LOCK = Path(__file__).parents[2] / "requirements.lock"
NAME = "car-price-pipelines"

_PINNED = re.compile(r"^(?P<requirement>[^\s#;]+==[^\s;\\]+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pinned:
    """A package of the lock: its name and version, and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package URL."""
        return f"pkg:pypi/{canonicalize_name(self.name)}@{self.version}"


def pinned(lock: str) -> list[Pinned]:
    """Read a lock as ``uv pip compile --generate-hashes`` writes it."""
    found = []
    for entry in _PINNED.finditer(lock):
        requirement = Requirement(entry["requirement"])
        [version] = requirement.specifier
        found.append(Pinned(requirement.name, version.version, tuple(_HASH.findall(entry["rest"]))))
    return found


def bill(packages: Iterable[Pinned], jar_files: Iterable[Path]) -> Json:
    """Return the bill of materials of the packages and of jars (their paths in a Maven repository)."""
    packages = list(packages)
    by_name: dict[str, list[str]] = defaultdict(list)  # of some there is a version a Python version
    for one in packages:
        by_name[canonicalize_name(one.name)].append(one.purl)
    root = f"pkg:pypi/{NAME}@{__version__}"
    components = [*map(_package, packages), *map(_jar, sorted(set(jar_files)))]
    content: Json = {
        "metadata": {"component": _component("application", NAME, __version__, root)},
        "components": components,
        "dependencies": [
            {"ref": root, "dependsOn": sorted(set(_needed(NAME, by_name)))},
            *({"ref": one.purl, "dependsOn": sorted(set(_needed(one.name, by_name)))} for one in packages),
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    head = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
    }
    return head | content


def _component(kind: str, name: str, version: str, purl: str) -> Json:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _package(one: Pinned) -> Json:
    component = _component("library", one.name, one.version, one.purl)
    if licence := _licence(one.name):
        component["licenses"] = [licence]
    hashes = [{"alg": "SHA-256", "content": digest} for digest in one.hashes]
    page = f"https://pypi.org/project/{one.name}/{one.version}/"
    return component | {"externalReferences": [{"type": "distribution", "url": page, "hashes": hashes}]}


def _licence(name: str) -> Json | None:
    """Return what an installed package says in the standard's way; many still say it in their own."""
    try:
        about = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:  # of another platform
        return None
    # Asked for first: the backport of this module, once imported, raises where this one gives None.
    told = about["License-Expression"] if "License-Expression" in about else None  # noqa: SIM401
    return {"expression": told} if told else None


def _needed(name: str, by_name: dict[str, list[str]]) -> Iterator[str]:
    """Yield what an installed package needs here, of what is in the bill."""
    try:
        required = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for wanted in map(Requirement, required):
        needed = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if needed:
            yield from by_name.get(canonicalize_name(wanted.name), [])


def _jar(path: Path) -> Json:
    """Describe a jar by its path: …/org/apache/kafka/kafka-clients/4.3.1/kafka-clients-4.3.1.jar."""
    _, _, below = path.as_posix().rpartition("/repository/")
    *group, artifact, version, _ = below.split("/")
    purl = f"pkg:maven/{'.'.join(group)}/{artifact}@{version}"
    component = _component("library", artifact, version, purl) | {"group": ".".join(group)}
    return component | {
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]
    }


def fetched_jars() -> list[Path]:
    """Return the jars that set-up has fetched; it fetches what is missing."""
    wanted = (artifacts.KAFKA, artifacts.HADOOP, jars.COORDINATES)
    return [path for coordinates in wanted for path in artifacts.jars(coordinates)]


if __name__ == "__main__":
    found = bill(pinned(LOCK.read_text("utf-8")), fetched_jars())
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
