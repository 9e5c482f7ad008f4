"""What the demo removes before it begins."""

from __future__ import annotations

import pytest
from filelock import FileLock

from control_plane.demo.command import empty
from control_plane.demo.story import DemoError


def test_an_earlier_storys_state_goes_and_what_is_not_its_own_stays(tmp_path):
    for name in ("data/kafka", "logs", "mine"):
        (tmp_path / name).mkdir(parents=True)
    empty(tmp_path)
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "logs").exists()
    assert (tmp_path / "mine").exists()


def test_the_state_of_a_system_that_runs_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    with FileLock(tmp_path / "lock"), pytest.raises(DemoError, match="in use"):
        empty(tmp_path)
    assert (tmp_path / "data").exists()
