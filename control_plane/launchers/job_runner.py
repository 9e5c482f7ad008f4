"""Runs one job on this machine and outlives the control plane: ``python -m ...job_runner``.

The folder of a job is all there is to know of it: ``lock`` is held while it runs, ``exit.json`` says how it
ended, ``reason`` is what the job itself wrote to say why it failed, ``tmp`` has its temporary files. A runner
that finds the lock held or the exit written does nothing, so starting one twice is harmless.

The runner ends with the system it belongs to: it waits for a lock that ``pipelines up`` holds while it runs.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import psutil
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCK = "lock"
EXIT = "exit.json"
REASON = "reason"
SCRATCH = "tmp"
LIFELINE = "PIPELINES_LIFELINE"
JOB_FOLDER = "PIPELINES_JOB_FOLDER"

_LOCK_TIMEOUT_S = 5.0  # longer than anyone looks whether it is held
_TERMINATION_S = 10.0
_PR_SET_PDEATHSIG = 1
_NICENESS = 10  # answers to requests, which share this machine, come first


class Exit(TypedDict):
    """What ``exit.json`` holds: why the job failed (null if it did not) and how long it took."""

    reason: str | None
    seconds: float


def run(folder: Path, log: Path, deadline_s: float, command: Sequence[str]) -> None:
    """Run the command unless it runs or has ended, and write down how it ended."""
    with suppress(Timeout), FileLock(folder / LOCK, timeout=_LOCK_TIMEOUT_S):
        if not (folder / EXIT).exists():
            end_leftovers(folder)
            end = _run(folder, log, deadline_s, command)
            shutil.rmtree(folder / SCRATCH, ignore_errors=True)
            _write_exit(folder, end)


def end_leftovers(folder: Path) -> None:
    """Kill and remove what a killed runner of this job left; call it only with the job's lock in hand.

    Two trainings never run at once, not even of one attempt.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(JOB_FOLDER) == str(folder):
                process.kill()
                process.wait(_TERMINATION_S)
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


def _run(folder: Path, log: Path, deadline_s: float, command: Sequence[str]) -> Exit:
    started = time.monotonic()
    (folder / REASON).unlink(missing_ok=True)
    try:
        process = _start(folder, log, command)
    except OSError as error:
        return Exit(reason=f"{command[0]} could not be started: {error}", seconds=0.0)
    _end_with_the_system(process)
    try:
        code: int | None = process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        code = None
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_TERMINATION_S)
    # Spark's JVM outlives its Python for a moment; after this nothing of the job is left.
    _signal_group(process, signal.SIGKILL)
    process.wait()
    reason = f"not done after {deadline_s:g} s" if code is None else _reason(folder, log, code)
    return Exit(reason=reason, seconds=round(time.monotonic() - started, 3))


def _start(folder: Path, log: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    scratch = folder / SCRATCH
    scratch.mkdir()
    environment = os.environ | {
        "TERMINATION_MESSAGE_PATH": str(folder / REASON),
        "TMPDIR": str(scratch),  # a large training shuffles more than a container's /tmp may hold
        JOB_FOLDER: str(folder),
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_die_with_the_runner,  # noqa: PLW1509 - no thread has started yet
        )


def _die_with_the_runner() -> None:
    os.nice(_NICENESS)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_the_system(process: subprocess.Popen[bytes]) -> None:
    if LIFELINE in os.environ:
        threading.Thread(target=_await_the_end, args=(process,), daemon=True).start()


def _await_the_end(process: subprocess.Popen[bytes]) -> None:
    with Path(os.environ[LIFELINE]).open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
    _signal_group(process, signal.SIGKILL)
    os._exit(1)  # no exit is written: the job did not end, and its attempt may run again


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _reason(folder: Path, log: Path, code: int) -> str | None:
    if code == 0:
        return None
    with suppress(OSError):
        if said := (folder / REASON).read_text(errors="replace").strip():
            return said
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{how}, and no reason given; see {log}"


def _write_exit(folder: Path, end: Exit) -> None:
    partial = folder / f"{EXIT}.partial"
    partial.write_text(json.dumps(end))
    partial.replace(folder / EXIT)


def main() -> None:
    """Read the command line and run the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--deadline", type=float, required=True, help="seconds")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    run(arguments.folder, arguments.log, arguments.deadline, arguments.command)


if __name__ == "__main__":
    main()
