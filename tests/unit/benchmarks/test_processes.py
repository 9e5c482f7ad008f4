"""What a command takes, measured on commands that take a known amount."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.benchmarks.processes import BenchmarkError, measured

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
_CHILD = "import time; taken = b'x' * (200 * 2**20); time.sleep(1)"
_PARENT = (
    f"import subprocess, sys; print('begun', flush=True); subprocess.run([sys.executable, '-c', {_CHILD!r}])"
)


def test_memory_of_all_processes_counts_and_lines_are_passed_on(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "log").write_text("of an earlier run\n")

    usage = measured(
        "it",
        [sys.executable, "-c", _PARENT],
        env=os.environ,
        log_file=tmp_path / "log",
        limit_s=60,
        on_line=lines.append,
    )

    assert lines == ["begun"]
    assert 200 * MIB < usage.peak_bytes < 1_000 * MIB
    assert usage.seconds > 1


def test_a_process_that_splits_in_two_holds_no_more_memory(tmp_path: Path) -> None:
    splitting = "import os, time; taken = b'x' * (200 * 2**20); os.fork(); time.sleep(1)"

    usage = measured(
        "it", [sys.executable, "-c", splitting], env=os.environ, log_file=tmp_path / "log", limit_s=60
    )

    assert 200 * MIB < usage.peak_bytes < 300 * MIB


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))

    with pytest.raises(BenchmarkError, match="it was stopped"):
        measured(
            "it", ["sh", "-c", "sleep 60 & sleep 60"], env=os.environ, log_file=tmp_path / "l", limit_s=0.5
        )

    assert set(psutil.Process().children(recursive=True)) <= before


def test_the_end_of_the_log_says_why_it_failed(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)status 3.*out of luck"):
        measured(
            "it",
            ["sh", "-c", "echo out of luck; exit 3"],
            env=os.environ,
            log_file=tmp_path / "l",
            limit_s=60,
        )
