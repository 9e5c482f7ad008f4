"""Explanations of listings, asked of a process with Spark (``spark_apps.explaining``): there is none here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from control_plane.explanations import Explanation
from control_plane.sandbox.java import java_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from control_plane.registry import Registry
    from control_plane.settings import Servers

_STOP_S = 20.0


class ExplainError(RuntimeError):
    """There is no explanation; the message says why, and what helps."""


def version_to_explain(registry: Registry, asked: int | None) -> int:
    """Return the version asked for, else the one that serves, else the newest."""
    versions = [found.version for found in registry.versions()]
    if not versions:
        raise ExplainError("no model is registered yet: one is as soon as a batch has been trained on")
    if asked is not None and asked not in versions:
        listed = ", ".join(map(str, versions))
        raise ExplainError(f"model version {asked} was never registered; there are: {listed}")
    return asked or registry.champion() or versions[-1]


@dataclass(frozen=True)
class Explainer:
    """A process that explains listings by one model version, until it is left."""

    process: subprocess.Popen[str]
    log: IO[str]

    def explain(self, listing: str) -> Explanation:
        """Explain a listing: a JSON object of raw columns on one line. Raises: ExplainError."""
        assert self.process.stdin is not None  # a pipe  # noqa: S101
        try:
            self.process.stdin.write(listing + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the answer below says why
        return msgspec.convert(self.answer(), Explanation)

    def answer(self) -> dict[str, Any]:
        """Return the next line that the process says."""
        assert self.process.stdout is not None  # a pipe  # noqa: S101
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            last = (self.log.read().strip().splitlines() or ["nothing"])[-1]
            raise ExplainError(f"the explaining process ended; the last that it said: {last}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ExplainError(answer["error"])
        return answer


@contextmanager
def explainer(servers: Servers, model: str, version: int) -> Iterator[Explainer]:
    """Start the process and yield it once it is ready, after ten seconds or more; it ends afterwards."""
    command = [sys.executable, "-m", "spark_apps.explaining", model, str(version)]
    environment = {"JAVA_HOME": str(java_home()), "PYTHONUTF8": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | servers.environment() | environment,
            encoding="utf-8",
        )
        found = Explainer(process, log)
        try:
            found.answer()
            yield found
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let the process end as its input does, and make it if it does not."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
