from __future__ import annotations

import fcntl
import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from filelock import FileLock

from control_plane.events import TrainingStarted
from control_plane.failures import Failure
from control_plane.launchers import job_runner
from control_plane.launchers.base import JobEnd, job_name
from control_plane.launchers.local import LocalTrainingLauncher

if TYPE_CHECKING:
    from pathlib import Path

STARTED = TrainingStarted(batch="b1", attempt=1)
KILLED = Failure(reason="the runner of train-b1-1 was killed")


def launcher(home, script, *, deadline_s=60.0):
    command = ["/bin/sh", "-c", script, "job", "{batch}", "{attempt}", "{accept_profile}"]
    return LocalTrainingLauncher(home, command, deadline_s, environment={"SERVER": "somewhere"})


def run(home, script, started=STARTED, **options):
    runs = launcher(home, script, **options)
    runs.submit(started)
    end = runs.wait(started, 30)
    assert end is not None
    return end


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # of a parent that does not reap
    except psutil.NoSuchProcess:
        return True


def log_of(home: Path) -> str:
    return str(home / "logs" / "train-b1-1.log")


def test_a_job_that_ends_well_has_no_reason(tmp_path):
    end = run(tmp_path, "exit 0")
    assert end.reason is None
    assert end.seconds is not None


def test_a_failed_job_says_why_itself(tmp_path):
    end = run(tmp_path, 'echo "every row is without a price" > "$TERMINATION_MESSAGE_PATH"; exit 1')
    assert end.failure == Failure(reason="every row is without a price")


def test_a_failed_job_may_say_that_it_cannot_change(tmp_path):
    said = Failure(reason="the batch is empty", final=True)
    (tmp_path / "said").write_text(said.message())
    end = run(tmp_path, f'cp {tmp_path}/said "$TERMINATION_MESSAGE_PATH"; exit 1')
    assert end.failure == said


def test_a_failed_job_that_says_nothing_is_told_by_its_exit_code_and_its_log(tmp_path):
    end = run(tmp_path, "exit 3")
    assert end.reason == f"exit code 3, and no reason given; see {tmp_path}/logs/train-b1-1.log"


def test_a_killed_job_is_told_by_its_signal(tmp_path):
    assert run(tmp_path, "kill -9 $$").reason.startswith("killed by SIGKILL")


def test_a_command_that_is_not_there_is_a_failure_with_its_name(tmp_path):
    runs = LocalTrainingLauncher(tmp_path, ["/no/such/command"], 60, environment={})
    runs.submit(STARTED)
    assert "/no/such/command could not be started" in runs.wait(STARTED, 30).reason


def test_a_job_past_its_deadline_is_ended_with_all_its_processes(tmp_path):
    end = run(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait", deadline_s=0.5)
    assert end.reason == "not done after 0.5 s"
    assert gone(int((tmp_path / "child").read_text()))


def test_the_command_gets_batch_attempt_and_servers_and_writes_to_the_log(tmp_path):
    run(tmp_path, 'echo "$1 $2 $3 $SERVER"')
    assert (tmp_path / "logs" / "train-b1-1.log").read_text().splitlines()[-1] == "b1 1 false somewhere"


def test_the_command_is_told_to_accept_the_profile_and_a_batchs_name_stays_as_it_is(tmp_path):
    odd = TrainingStarted(batch="{attempt}", attempt=1, accept_profile=True)
    run(tmp_path, f'echo "$1 $2 $3" > {tmp_path}/told', odd)
    assert (tmp_path / "told").read_text() == "{attempt} 1 true\n"


def test_a_job_that_runs_is_met_and_not_started_again(tmp_path):
    script = f"echo started >> {tmp_path}/starts; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    first, second = launcher(tmp_path, script), launcher(tmp_path, script)
    first.submit(STARTED)
    second.submit(STARTED)
    assert second.wait(STARTED, 0) is None
    (tmp_path / "go").touch()
    assert second.wait(STARTED, 30) == first.wait(STARTED, 30)
    assert (tmp_path / "starts").read_text() == "started\n"


def test_a_job_that_has_ended_is_met_and_not_started_again(tmp_path):
    script = f"echo started >> {tmp_path}/starts"
    assert run(tmp_path, script) == run(tmp_path, script)
    assert (tmp_path / "starts").read_text() == "started\n"


def test_a_second_runner_of_the_same_job_does_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(job_runner, "_LOCK_TIMEOUT_S", 0.1)
    with FileLock(tmp_path / job_runner.LOCK):
        job_runner.run(tmp_path, tmp_path / "log", 60, ["/bin/sh", "-c", f"touch {tmp_path}/ran"])
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / job_runner.EXIT).exists()


def runner_of(home):
    folder = home / "jobs" / job_name(STARTED)
    for process in psutil.process_iter():
        try:
            if f"--folder={folder}" in process.cmdline():
                return process
        except psutil.Error:
            continue
    raise AssertionError("no runner")


def written(path):
    give_up = time.monotonic() + 20
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < give_up, f"{path} was never written"
        time.sleep(0.02)
    return path.read_text()


def test_the_job_of_a_killed_runner_is_over_and_nothing_of_it_is_left(tmp_path):
    runs = launcher(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60")
    runs.submit(STARTED)
    pid = int(written(tmp_path / "pid"))
    runner_of(tmp_path).kill()
    assert runs.wait(STARTED, 30) == JobEnd(KILLED, None, log_of(tmp_path))
    assert gone(pid)


def test_a_jobs_temporary_files_lie_beside_it_and_go_with_it(tmp_path):
    scratch = tmp_path / "jobs" / "train-b1-1" / job_runner.SCRATCH
    assert run(tmp_path, f'touch "$TMPDIR/shuffled"; test -e {scratch}/shuffled').reason is None
    assert not scratch.exists()


def test_the_temporary_files_of_a_killed_job_go_before_it_is_tried_anew(tmp_path):
    script = f'test ! -e "$TMPDIR/left" && touch "$TMPDIR/left" && echo $$ > {tmp_path}/pid && sleep 60'
    runs = launcher(tmp_path, script)
    runs.submit(STARTED)
    written(tmp_path / "pid")
    runner_of(tmp_path).kill()
    assert runs.wait(STARTED, 30) == JobEnd(KILLED, None, log_of(tmp_path))
    assert not (tmp_path / "jobs" / "train-b1-1" / job_runner.SCRATCH).exists()


def test_a_job_outlives_who_launched_it_and_is_met_by_the_next(tmp_path):
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    program = (
        "import pathlib, time\n"
        "from control_plane.events import TrainingStarted\n"
        "from control_plane.launchers.local import LocalTrainingLauncher\n"
        f"home, script = pathlib.Path({str(tmp_path)!r}), {script!r}\n"
        "runs = LocalTrainingLauncher(home, ['/bin/sh', '-c', script], 60, {})\n"
        "runs.submit(TrainingStarted(batch='b1', attempt=1))\n"
        "print('submitted', flush=True)\n"
        "time.sleep(60)\n"
    )
    first = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"submitted\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()

    second = launcher(tmp_path, script)
    second.submit(STARTED)
    assert second.wait(STARTED, 0) is None
    (tmp_path / "go").touch()
    assert second.wait(STARTED, 30).reason is None


def test_a_job_ends_with_the_system_it_belongs_to_and_may_run_again(tmp_path, monkeypatch):
    monkeypatch.setenv(job_runner.LIFELINE, str(tmp_path / "lifeline"))
    runs = launcher(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60")
    with (tmp_path / "lifeline").open("w") as lifeline:
        fcntl.flock(lifeline, fcntl.LOCK_EX)
        runs.submit(STARTED)
        pid = int(written(tmp_path / "pid"))
        assert runs.wait(STARTED, 0) is None
    assert runs.wait(STARTED, 30) == JobEnd(KILLED, None, log_of(tmp_path))
    assert gone(pid)
    assert not (tmp_path / "jobs" / "train-b1-1" / job_runner.EXIT).exists()


def test_the_exit_is_written_whole(tmp_path):
    run(tmp_path, "exit 0")
    folder = tmp_path / "jobs" / "train-b1-1"
    assert json.loads((folder / job_runner.EXIT).read_text())["reason"] is None
    assert sorted(file.name for file in folder.iterdir()) == [job_runner.EXIT, job_runner.LOCK]


@pytest.mark.parametrize(
    ("batch", "name"),
    [
        ("b1", "train-b1-1"),
        ("2026-01-31", "train-2026-01-31-1"),
        ("../../etc", "train-etc-1-"),
        ("B1", "train-b1-1-"),
        ("-" * 200, "train-1-"),
    ],
)
def test_a_jobs_name_is_a_dns_label_whatever_the_batch_is_called(batch, name):
    found = job_name(TrainingStarted(batch=batch, attempt=1))
    assert found.startswith(name)
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])", found)


def test_batches_whose_names_are_alike_have_jobs_of_their_own():
    batches = ["b1", "B1", "b_1", "b.1", "b" * 100, "b" * 101, "é", "è"]
    assert len({job_name(TrainingStarted(batch=batch, attempt=1)) for batch in batches}) == len(batches)
