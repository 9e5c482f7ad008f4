"""One sandbox a home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox.errors import SandboxError
from control_plane.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_sandbox_on_the_same_home_names_the_first_ones_process(tmp_path: Path) -> None:
    first = Sandbox(tmp_path)
    first._take_home()
    with pytest.raises(SandboxError, match=f"{tmp_path} is in use by process {os.getpid()}: "):
        Sandbox(tmp_path)._take_home()
    first._stop()
    Sandbox(tmp_path)._take_home()


def test_temporary_files_of_a_crashed_run_are_removed(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "left-over").touch()
    Sandbox(tmp_path)._take_home()
    assert not (tmp_path / "tmp" / "left-over").exists()
