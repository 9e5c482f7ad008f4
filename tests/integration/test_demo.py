"""The one end-to-end story: what a user types, judged by what it prints and leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.story
@pytest.mark.timeout(1200)
def test_the_demo_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "control_plane.cli", "demo", "--home", str(home)]
    told = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=1190, check=False
    )

    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-2000:]
    assert "every request has exactly one answer" in told.stdout
    assert "live, in a browser: http://127.0.0.1:" in told.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert _processes_of(home) == []


def _processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(home) in line and process.pid != os.getpid():
            found.append(line)
    return found
