"""Runs all checks side by side, each within its time, and prints what they found."""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from control_plane.doctor import machine, servers
from control_plane.doctor.findings import Finding, Level, healthy, ok, problem, report, warning
from control_plane.progress import working
from control_plane.sandbox import java
from control_plane.sandbox.machine import available_memory
from control_plane.settings import Home, Servers, Topics, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Check: TypeAlias = Callable[[], list[Finding]]

_DEADLINE_S = 30.0  # far beyond every check's own limit; looking a name up has none
_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


def run(*, as_json: bool) -> int:
    """Print the findings: JSON, a table on a terminal, plain lines in a pipe. Returns the exit status."""
    with working("looking at this machine and at the servers"):
        found = side_by_side(checks(os.environ), _DEADLINE_S)
    if as_json:
        sys.stdout.write(json.dumps(report(found), indent=2) + "\n")
    elif sys.stdout.isatty():
        Console(highlight=False).print(table(found))
    else:
        sys.stdout.writelines(f"{finding.line()}\n" for finding in found)
    return 0 if healthy(found) else 1


def checks(environment: Mapping[str, str]) -> dict[str, Check]:
    """Return every check that makes sense here, by name, in the order of the report.

    Where a running system is named none will be started: what that takes of the machine is no matter then.
    """
    named = {name for name in servers.NAMES if environment.get(name)}
    where, home, to_start = load(Servers), load(Home).pipelines_home, not named
    of_machine: dict[str, Check] = {
        "python": machine.python_and_packages,
        "java": lambda: machine.java_runtime(list(java.installed()), environment.get("JAVA_HOME")),
        "jars": lambda: machine.jars(to_start=to_start),
        "memory": lambda: machine.memory(available_memory(), to_start=to_start),
        "disk": lambda: machine.disk(home, to_start=to_start),
    }
    of_servers: dict[str, tuple[str, Check]] = {
        "KAFKA_BOOTSTRAP_SERVERS": (
            "kafka",
            partial(servers.kafka, where.kafka_bootstrap_servers, load(Topics)),
        ),
        "MLFLOW_TRACKING_URI": ("mlflow", partial(servers.mlflow, where.mlflow_tracking_uri)),
        "HDFS_URL": ("hdfs", partial(servers.hdfs, where.hdfs_url)),
    }
    if to_start:
        to_come: dict[str, Check] = {
            "ports": lambda: machine.ports(machine.demanded_ports()),
            "system": lambda: _no_system(home),
        }
        return of_machine | to_come
    return of_machine | dict(of_servers[name] for name in servers.NAMES if name in named)


def _no_system(home: Path) -> list[Finding]:
    names = ", ".join(servers.NAMES)
    try:
        process = int((home / "pid").read_text())  # of the one that runs servers there: sandbox.layout.Layout
    except (OSError, ValueError):
        process = None
    if process is not None and psutil.pid_exists(process):
        runs = f"one runs in {home} (process {process}) and is not named"
        return [warning("system", runs, f"set {names} to what it printed, to have it looked at")]
    return [ok("system", f"no running one is named: set {names} to have it looked at")]


def side_by_side(asked: Mapping[str, Check], deadline_s: float) -> list[Finding]:
    """Run the checks at the same time, and return what they found in the order that they are given in.

    What has not ended by the deadline is a problem, and is left behind. So is one that breaks down.
    """
    answers: dict[str, list[Finding]] = {}
    threads = [
        Thread(target=_answer, args=(name, check, answers), daemon=True) for name, check in asked.items()
    ]
    deadline = time.monotonic() + deadline_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"no answer in {deadline_s:.0f} s"
    return [
        finding
        for name in asked
        for finding in answers.get(name) or [problem(name, late, "try again: a busy machine may be slow")]
    ]


def _answer(name: str, check: Check, answers: dict[str, list[Finding]]) -> None:
    try:
        answers[name] = check()
    except Exception as error:  # the others are still worth printing
        said = f"the check broke down: {type(error).__name__}: {error}"
        answers[name] = [problem(name, said, "tell the project's developers")]


def table(found: Sequence[Finding]) -> Table:
    """Return the findings as a table for a terminal."""
    shown = Table("", "what", "found", "what to do", title="Doctor", title_justify="left")
    for finding in found:
        level = Text(finding.level, style=_COLOURS[finding.level])
        shown.add_row(level, *map(Text, (finding.check, finding.found, finding.remedy or "")))
    return shown
