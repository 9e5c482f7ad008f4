"""Children that end with their parent, restart, and say why they failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from control_plane.sandbox.processes import ManagedProcess, ProcessFailedError

ROOT = Path(__file__).parents[3]


def shell(script: str, tmp_path: Path, *, restart: bool = False) -> ManagedProcess:
    return ManagedProcess("child", ["sh", "-c", script], log_file=tmp_path / "child.log", restart=restart)


def eventually(holds: object, timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if holds():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_in(file: Path) -> int:
    assert eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text().split()[-1])


def test_its_output_is_its_log(tmp_path: Path) -> None:
    child = shell("echo out; echo err >&2", tmp_path)
    child.start()
    child.wait_until_done(10)
    assert child.tail().splitlines() == ["out", "err"]


def test_one_that_ends_before_it_is_ready_is_reported_with_its_status_and_log(tmp_path: Path) -> None:
    child = shell("echo no such database; exit 3", tmp_path)
    child.start()
    with pytest.raises(ProcessFailedError, match=r"ended with status 3 before it was ready.*\n.*database"):
        child.wait_until_ready(lambda: False, 10)


def test_one_that_is_killed_is_reported_with_the_signal(tmp_path: Path) -> None:
    child = shell("kill -9 $$", tmp_path)
    child.start()
    with pytest.raises(ProcessFailedError, match="ended with SIGKILL"):
        child.wait_until_ready(lambda: False, 10)


def test_one_that_is_not_ready_in_time_is_reported(tmp_path: Path) -> None:
    child = shell("sleep 60", tmp_path)
    child.start()
    with pytest.raises(ProcessFailedError, match="was not ready within 0 s"):
        child.wait_until_ready(lambda: False, 0.01)
    child.stop()


def test_a_command_that_fails_is_reported(tmp_path: Path) -> None:
    child = shell("exit 1", tmp_path)
    child.start()
    with pytest.raises(ProcessFailedError, match="failed with status 1"):
        child.wait_until_done(10)


def test_stopping_ends_its_children_too(tmp_path: Path) -> None:
    child = shell(f"sleep 60 & echo $! > {tmp_path}/grandchild; wait", tmp_path)
    child.start()
    grandchild = pid_in(tmp_path / "grandchild")
    assert child.stop() == -signal.SIGTERM
    assert eventually(lambda: not running(grandchild))


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = shell(f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 60; done", tmp_path)
    child.start()
    pid_in(tmp_path / "pid")
    assert child.stop(grace_s=0.1) == -signal.SIGKILL


def test_stopping_one_that_was_never_started_does_nothing(tmp_path: Path) -> None:
    assert shell("true", tmp_path).stop() is None


def test_one_that_ends_by_itself_is_restarted(tmp_path: Path) -> None:
    child = shell("sleep 60", tmp_path, restart=True)
    child.start()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: child.pid != first and child.poll() is None)
    child.stop()


def test_one_that_was_stopped_is_not_restarted(tmp_path: Path) -> None:
    child = shell("sleep 60", tmp_path, restart=True)
    child.start()
    pid = child.pid
    child.stop()
    assert not eventually(lambda: child.pid != pid, timeout_s=1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_gone_when_its_parent_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    # Started from a thread that has ended long before, which must make no difference.
    program = f"""
import threading, time
from pathlib import Path
from control_plane.sandbox.processes import ManagedProcess
child = ManagedProcess("child", ["sleep", "60"], log_file=Path({str(tmp_path / "log")!r}))
thread = threading.Thread(target=child.start)
thread.start()
thread.join()
Path({str(tmp_path / "pid")!r}).write_text(f"{{child.pid}}\\n")
time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as parent:
        child = pid_in(tmp_path / "pid")
        assert running(child)
        parent.send_signal(number)
    assert eventually(lambda: not running(child))


def test_it_does_not_start_when_its_parent_is_gone_already(tmp_path: Path) -> None:
    wrapper = ROOT / "control_plane" / "sandbox" / "die_with_parent.py"
    command = [sys.executable, "-I", "-S", str(wrapper), "1", "touch", str(tmp_path / "started")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "parent 1 is gone" in done.stderr
    assert not (tmp_path / "started").exists()
