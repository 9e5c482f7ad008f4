"""What the embedded system promises, with those of its programs that need no Spark."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import requests
from hdfs import InsecureClient

from control_plane import audit, events
from control_plane.settings import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK_TRAINING = Path(__file__).with_name("quick_training.py")
PATIENCE_S = 120
PROGRAM = """
import sys
from pathlib import Path
from control_plane import logs, up
logs.configure()
up.run(Path(sys.argv[1]), (up.CONTROL_PLANE, up.WATCHERS))
"""


class Up:
    """A ``pipelines up`` without serving and monitoring."""

    def __init__(self, home: Path) -> None:
        self.home = home
        training = [sys.executable, str(QUICK_TRAINING), "--batch={batch}", "--attempt={attempt}"]
        options = [f"--starts={home}/starts", f"--wait-for={home}/go"]
        environment = os.environ | {"CONTROL_TRAINING_COMMAND": json.dumps([*training, *options])}
        self.errors = home.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline().strip() for _ in range(3)]
        assert all(self.lines), Path(self.errors.name).read_text()

    @property
    def servers(self) -> Servers:
        return Servers(**{name.lower(): value for name, value in (line.split("=", 1) for line in self.lines)})

    def family(self) -> list[psutil.Process]:
        """What runs for it: its children of any degree, and its jobs, which have sessions of their own."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return children + [process for process in psutil.process_iter() if belongs(process, self.home)]

    def ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        assert self.process.stdout.read() == "", "three lines and nothing else"
        self.process.stdout.close()
        self.errors.close()
        return code


def belongs(process: psutil.Process, home: Path) -> bool:
    try:
        return any(str(home) in argument for argument in process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, java: Path) -> Iterator[Up]:
    system = Up(tmp_path_factory.mktemp("up") / "home")
    yield system
    if system.process.poll() is None:
        system.process.kill()
        system.ended()


def land(system: Up, batch: str) -> None:
    client = InsecureClient(system.servers.hdfs_url, user="somebody")
    client.write(f"/batches/{batch}/part-00000.csv", b"vin\n1\n")
    client.write(f"/batches/{batch}/_SUCCESS", b"")


def eventually(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.2)


def types(system: Up, batch: str) -> list[str]:
    records = audit.read(system.servers.kafka_bootstrap_servers, events.BATCHES)
    return [record.event.type for record in records if record.event.subject == batch]


def started(system: Up, batch: str) -> bool:
    starts = system.home / "starts"
    return starts.exists() and f"{batch}\t" in starts.read_text()


def test_a_batch_becomes_a_model_and_a_killed_server_comes_back(up):
    land(up, "good-1")
    eventually(lambda: "training.succeeded" in types(up, "good-1"))
    before = up.servers
    (mlflow,) = [process for process in up.family() if "mlflow.server.fastapi_app:app" in process.cmdline()]
    mlflow.kill()
    eventually(lambda: answers(before.mlflow_tracking_uri))
    land(up, "good-2")
    eventually(lambda: "training.succeeded" in types(up, "good-2"))


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=1).ok
    except requests.RequestException:
        return False


def ends_wholly(system: Up, number: signal.Signals) -> None:
    """Send the signal while a job runs, and see everything go."""
    family = system.family()
    assert any("control_plane.launchers.job_runner" in process.cmdline() for process in family)
    system.process.send_signal(number)
    assert system.ended() == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    _, left = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def test_nothing_stays_behind_and_a_job_that_ran_is_run_again(up):
    land(up, "slow-1")
    eventually(lambda: started(up, "slow-1"))
    ends_wholly(up, signal.SIGKILL)

    (up.home / "go").touch()
    again = Up(up.home)
    assert again.lines == up.lines, "where its servers are outlives it"
    eventually(lambda: "training.succeeded" in types(again, "slow-1"))
    assert types(again, "slow-1") == ["batch.arrived", "training.started", "training.succeeded"]

    (up.home / "go").unlink()
    land(again, "slow-2")
    eventually(lambda: started(again, "slow-2"))
    ends_wholly(again, signal.SIGINT)
