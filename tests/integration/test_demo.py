"""The one end-to-end story: what a user types, word for word, judged by what it prints and leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from control_plane.sandbox.machine import choose_ports
from control_plane.status import status
from tests import readme
from tests.markdown import ROOT
from tests.story import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psutil import Process

SERVERS = ("KAFKA_BOOTSTRAP_SERVERS", "MLFLOW_TRACKING_URI", "HDFS_URL")
LASTING = (" up", "make demo", " &")
ENDLESS = {"simulate traffic": "--seconds=5"}


class Typed:
    """A command that runs until it is interrupted, and the lines that it has printed so far."""

    def __init__(self, line: str, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", line.removesuffix(" &")],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=into.extend, args=(stream,))
            for into, stream in (
                (self.lines, self._process.stdout),
                (self._errors, self._process.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def text(self) -> str:
        """What it has printed."""
        return "".join(self.lines)

    def servers(self) -> dict[str, str]:
        """Return what it has said of its servers: all three, once it is ready."""
        assert self._process.poll() is None, self._said()
        pairs = (line.strip().removeprefix("export ").partition("=") for line in [*self.lines])
        return {name: value for name, _, value in pairs if name in SERVERS}

    def interrupt(self) -> None:
        """Press Ctrl-C, and see it end well."""
        family = [
            psutil.Process(self._process.pid),
            *psutil.Process(self._process.pid).children(recursive=True),
        ]
        next(one for one in family if re.search(r"python\S* \S*bin/pipelines ", _line(one))).send_signal(
            signal.SIGINT
        )
        code = self._process.wait(120)
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        assert code == 0, self._said()

    def _said(self) -> str:
        return self.text[-4000:] + "".join(self._errors)[-2000:]


@contextmanager
def typed(line: str, environment: dict[str, str]) -> Iterator[Typed]:
    """Type a command that lasts; interrupt it at the end."""
    one = Typed(line, environment)
    try:
        yield one
    finally:
        one.interrupt()


@pytest.mark.story
@pytest.mark.timeout(1200)
def test_what_the_readme_types_does_what_it_says_and_leaves_nothing_running(tmp_path: Path) -> None:
    lines = readme.typed_by(readme.STORY)
    home, port = tmp_path / "home", choose_ports(["exporter"], tmp_path / "ports.json", {})["exporter"]
    environment = os.environ | {"EXPORTER_PORT": str(port), "PIPELINES_HOME": str(tmp_path / "up")}

    for line in lines:
        if line.endswith(" up"):
            with typed(line, environment) as system:
                until("all servers", lambda system=system: set(system.servers()) == set(SERVERS))

    with typed("make demo", environment | {"DEMO_FLAGS": f"--keep --home {home}"}) as demo:
        until("the end of the story", lambda: set(demo.servers()) == set(SERVERS), 900)
        assert "every request has exactly one answer" in demo.text
        assert "live, in a browser: http://127.0.0.1:" in demo.text
        environment |= demo.servers()
        _type(".venv/bin/pipelines simulate batch batch-003 --rows=500", environment)  # that the README names
        until("batch-003", lambda: "trained" in _batches(environment).get("batch-003", ""), 300)
        with typed(next(line for line in lines if "exporter" in line), environment):
            until("the exporter", lambda: _status(f"curl -sf 127.0.0.1:{port}/metrics", environment) == 0)
            for line in lines:
                if not line.endswith(LASTING):
                    _type(line.replace("9464", str(port)), environment)

    assert _processes_of(tmp_path) == []


def _type(line: str, environment: dict[str, str]) -> None:
    """Type a command, and see it end well."""
    line += "".join(f" {option}" for words, option in ENDLESS.items() if words in line)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout[-2000:]} {done.stderr[-2000:]}"


def _batches(environment: dict[str, str]) -> dict[str, str]:
    """Return what became of each batch."""
    told = status(environment["KAFKA_BOOTSTRAP_SERVERS"])
    return {one["batch"]: one["status"] for one in told["batches"]}


def _status(line: str, environment: dict[str, str]) -> int:
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode


def _line(process: Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _processes_of(home: Path) -> list[str]:
    return [
        line
        for process in psutil.process_iter()
        if str(home) in (line := _line(process)) and process.pid != os.getpid()
    ]
