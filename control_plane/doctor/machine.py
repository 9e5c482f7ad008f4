"""What this machine has of what the system needs."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from control_plane.doctor.findings import Finding, ok, problem, warning
from control_plane.sandbox import artifacts, java, machine
from control_plane.sandbox.settings import SandboxSettings
from control_plane.settings import load
from control_plane.web.settings import Web

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROJECT = "car-price-pipelines"
_COMFORTABLE = 6 * machine.GIB  # of memory: what the demo was seen to need
_ASKING_S = 60.0
_TOLD = ("pyspark", "mlflow", "confluent-kafka", "faust-streaming")


def packages(installed: Mapping[str, str], required: Iterable[str]) -> list[Finding]:
    """Return which of the ``required`` packages are not ``installed`` in a version that will do."""
    wrong, count = [], 0
    for wanted in map(Requirement, required):
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        count += 1
        version = installed.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} {version or 'is missing'} ({wanted.specifier})")
    if wrong:
        return [problem("packages", f"not as required: {', '.join(wrong)}", "make setup")]
    told = ", ".join(f"{name} {installed[name]}" for name in _TOLD if name in installed)
    return [ok("packages", f"{count} as required, among them {told}")]


def installed_packages() -> dict[str, str]:
    """Return the version of every installed package by its canonical name."""
    return {
        canonicalize_name(one.name): one.version for one in importlib.metadata.distributions() if one.name
    }


def python_and_packages() -> list[Finding]:
    """Return the Python that runs this, and whether the packages are those that the project requires."""
    found = ok("python", f"{platform.python_version()} in {sys.prefix}")
    try:
        required = importlib.metadata.requires(_PROJECT) or []
    except importlib.metadata.PackageNotFoundError:  # as in the images, which hold the code and its lock
        return [found, ok("packages", "nothing says which are required: the project is not installed here")]
    return [found, *packages(installed_packages(), required)]


def java_runtime(found: Iterable[java.Java], named: str | None) -> list[Finding]:
    """Return which Java will be taken of those ``found``; ``named`` is JAVA_HOME."""
    usable = [one for one in found if one.usable]
    if named and not any(one.home == Path(named) for one in usable):
        here = java.inspect(Path(named))
        says = f"JAVA_HOME={named} is Java {here.major}" if here else f"JAVA_HOME={named} holds no Java"
        instead = "it is passed over" if usable else "there is no other"
        return [warning("java", f"{says}, and {instead}", f"set it to {java.EXPECTED}, or unset it")]
    if not usable:
        remedy = f"make setup fetches one (Debian: apt-get install {java.DEBIAN_PACKAGE})"
        return [warning("java", f"no {java.EXPECTED} is installed", remedy)]
    taken = usable[0] if named else java.preferred(usable)
    return [ok("java", f"{taken.major} in {taken.home}")]


def memory(available: int, *, to_start: bool) -> list[Finding]:
    """Return whether ``available`` bytes will do, if a system is ``to_start`` here."""
    says = f"{available / machine.GIB:.1f} GiB are available"
    if not to_start:
        return [ok("memory", says)]
    if available < machine.MIN_FREE_MEMORY:
        return [
            problem("memory", says, "end other programs, or use a larger machine: `pipelines up` refuses")
        ]
    if available < _COMFORTABLE:
        return [warning("memory", says, f"the whole system wants {_COMFORTABLE // machine.GIB} GiB")]
    return [ok("memory", says)]


def disk(home: Path, *, to_start: bool) -> list[Finding]:
    """Return whether there is room in ``home``, which need not exist, if a system is ``to_start`` there."""
    folder = next(parent for parent in (home.absolute(), *home.absolute().parents) if parent.exists())
    free = psutil.disk_usage(str(folder)).free
    says = f"{free / machine.GIB:.1f} GiB are free at {folder}"
    if to_start and free < machine.MIN_FREE_DISK:
        return [problem("disk", says, "delete something, or set PIPELINES_HOME to a folder on another disk")]
    return [ok("disk", says)]


def ports(demanded: Mapping[str, int]) -> list[Finding]:
    """Return which of the ports, by the variable that demands them, are taken."""
    taken = {name: port for name, port in demanded.items() if not machine.is_free(port)}
    if taken:
        says = ", ".join(f"{name}={port}" for name, port in taken.items())
        return [problem("ports", f"taken by another program: {says}", "end it, or set others, or unset them")]
    if not demanded:
        return [ok("ports", "none is demanded: `pipelines up` chooses free ones")]
    return [ok("ports", ", ".join(f"{name}={port}" for name, port in demanded.items()))]


def demanded_ports() -> dict[str, int]:
    """Return the ports that `pipelines up` was told to take, by the variable that says so."""
    servers = load(SandboxSettings).demanded_ports()
    found = {f"SANDBOX_{name.upper()}_PORT": port for name, port in servers.items()}
    page = load(Web).port
    return found | ({"WEB_PORT": page} if page else {})


def jars(*, to_start: bool) -> list[Finding]:
    """Return whether Spark's jars have been fetched, and the servers' too if they are ``to_start`` here."""
    asked = subprocess.run(
        [sys.executable, "-m", "spark_apps.jars", "--missing"],
        capture_output=True,
        text=True,
        timeout=_ASKING_S,
        check=False,
    )
    if asked.returncode != 0:
        last = (asked.stderr.strip().splitlines() or ["nothing"])[-1]
        return [problem("jars", f"Spark's cannot be looked up: {last}", "make setup")]
    lacking = json.loads(asked.stdout)
    if lacking:
        return [
            problem("jars", f"Spark lacks {', '.join(lacking)}", "make setup, or python -m spark_apps.jars")
        ]
    if not to_start:
        return [ok("jars", "those of Spark are here")]
    if not all(artifacts.fetched(wanted) for wanted in (artifacts.KAFKA, artifacts.HADOOP)):
        return [warning("jars", "those of Kafka and HDFS are not here yet", "make setup fetches them")]
    return [ok("jars", "those of Spark, Kafka and HDFS are here")]
