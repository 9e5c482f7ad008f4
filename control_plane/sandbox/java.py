"""Finding a Java that Spark, Hadoop and Kafka accept, or bringing one.

``python -m control_plane.sandbox.java`` prints its home.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cjdk
import structlog

from control_plane import logs
from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = structlog.get_logger()

PREFERRED = (17, 21)
# Everything here was run on 17 and on 25; what lies between is taken on trust.
ACCEPTED = range(17, 26)
DEBIAN_PACKAGE = "openjdk-17-jre-headless"
JVM_FOLDER = Path("/usr/lib/jvm")
# Spark's vectorised linear algebra; Java runtimes cut down with jlink often lack it.
NEEDED_MODULE = "jdk.incubator.vector"
EXPECTED = f"Java {' or '.join(map(str, PREFERRED))} (up to {ACCEPTED[-1]}) with the module {NEEDED_MODULE}"


@dataclass(frozen=True)
class Java:
    """An installed Java: its home, its major version and whether Spark can run on it."""

    home: Path
    major: int
    complete: bool = True

    @property
    def usable(self) -> bool:
        """Whether everything here runs on it."""
        return self.complete and self.major in ACCEPTED


def java_home() -> Path:
    """Return the home of a usable Java: JAVA_HOME, else one on this machine, else a newly fetched one.

    An explicit JAVA_HOME is taken when it is usable and passed over, with a warning, when not. Of the
    others a preferred version (17, 21) wins. Raises :class:`SandboxError` when there is none.
    """
    found = list(installed())
    usable = [java for java in found if java.usable]
    named = os.environ.get("JAVA_HOME")
    if named and usable and usable[0].home == Path(named):
        return usable[0].home
    if named:
        log.warning("java.passed_over", JAVA_HOME=named, expects=EXPECTED)
    if usable:
        return preferred(usable).home
    return _bring(found)


def preferred(usable: Sequence[Java]) -> Java:
    """Return the one to take: the first of a preferred version, else the first."""
    return min(usable, key=lambda java: java.major not in PREFERRED)


def inspect(home: Path) -> Java | None:
    """Read which Java lives in ``home``; None when there is none."""
    if not (home / "bin" / "java").exists():
        return None
    try:
        release = dict(re.findall(r'^(\w+)="(.*)"$', (home / "release").read_text(), re.MULTILINE))
    except OSError:
        release = {}
    version = release.get("JAVA_VERSION") or _ask_version(home)
    modules = release.get("MODULES")
    return Java(home, major_version(version), modules is None or NEEDED_MODULE in modules.split())


def major_version(version: str) -> int:
    """Return the major version of "17.0.15" (17), "1.8.0_392" (8) or "25" (25); 0 if it has none."""
    match = re.match(r"(?:1\.)?(\d+)", version)
    return int(match.group(1)) if match else 0


def _ask_version(home: Path) -> str:
    answer = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "([^"]+)"', answer.stderr)
    return match.group(1) if match else ""


def installed() -> Iterator[Java]:
    """Yield JAVA_HOME first, then ``java`` on the path, then what distributions install, each once."""
    named = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    homes = [
        *([Path(named)] if named else []),
        *([Path(on_path).resolve().parent.parent] if on_path else []),
        *(sorted(JVM_FOLDER.iterdir()) if JVM_FOLDER.is_dir() else []),
    ]
    seen: set[Path] = set()
    for home in homes:
        if home.resolve() not in seen and (java := inspect(home)):
            seen.add(home.resolve())
            yield java


def _bring(found: list[Java]) -> Path:
    """Fetch a Java 17: by cjdk, or by the system's package manager when root."""
    for source in (_from_cjdk, _from_debian):
        if (java := source()) and java.usable:
            log.info("java.fetched", home=str(java.home))
            return java.home
    here = ", ".join(f"Java {java.major} in {java.home}" for java in found) or "no Java"
    raise SandboxError(
        f"This machine has {here}, and {EXPECTED} is needed; none could be downloaded: install one "
        f"(Debian and Ubuntu: apt-get install {DEBIAN_PACKAGE}) or set JAVA_HOME to one."
    )


def _from_cjdk() -> Java | None:
    try:
        return inspect(Path(cjdk.java_home(vendor="temurin", version=str(PREFERRED[0]))))
    except (OSError, cjdk.CjdkError) as error:
        log.warning("java.not_downloaded", by="cjdk", reason=str(error))
        return None


def _from_debian() -> Java | None:
    if os.geteuid() != 0 or not Path("/usr/bin/apt-get").exists():
        return None
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", DEBIAN_PACKAGE]):
        done = subprocess.run(
            ["/usr/bin/apt-get", "-qq", *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            log.warning("java.not_installed", by="apt-get", reason=done.stderr.strip()[-300:])
            return None
    return next((java for java in installed() if java.usable), None)


if __name__ == "__main__":
    logs.configure()
    try:
        sys.stdout.write(f"{java_home()}\n")
    except SandboxError as error:
        sys.exit(str(error))
