"""The control plane on real servers, with trainings that take no time (``quick_training.py``)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from control_plane import audit, events, watchers
from control_plane.registry import Registry
from control_plane.settings import Servers, Topics
from control_plane.topics import METRICS, ensure_topics
from tests.integration.quick_training import PROFILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK_TRAINING = Path(__file__).with_name("quick_training.py")
PATIENCE_S = 60


@dataclass
class Plane:
    """A control plane that runs, and what it does as the log tells it."""

    servers: Servers
    home: Path
    process: subprocess.Popen[bytes]

    def arrive(self, *batches: str) -> None:
        arrived = (
            events.BatchArrived(batch=name, path=f"/batches/{name}", files=1, bytes=1) for name in batches
        )
        audit.publish(self.servers.kafka_bootstrap_servers, *arrived, source="/tests")

    def story(self, subject: str) -> list[events.Event]:
        topic = events.MODELS if subject.isdigit() else events.BATCHES
        records = audit.read(self.servers.kafka_bootstrap_servers, topic)
        return [record.event for record in records if record.event.subject == subject]

    def types(self, subject: str) -> list[str]:
        return [event.type for event in self.story(subject)]

    def until(self, subject: str, last: str) -> list[events.Event]:
        give_up = time.monotonic() + PATIENCE_S
        while last not in self.types(subject):
            log = (self.home / "control-plane.log").read_text()[-3000:]
            assert time.monotonic() < give_up, f"{last} never came: {self.types(subject)}\n{log}"
            time.sleep(0.2)
        return self.story(subject)

    def starts(self) -> list[list[str]]:
        file = self.home / "starts"
        return [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []


def start(servers: Servers, home: Path) -> subprocess.Popen[bytes]:
    training = [sys.executable, str(QUICK_TRAINING), "--batch={batch}", "--attempt={attempt}"]
    options = ["--accept-profile={accept_profile}", f"--starts={home}/starts", f"--wait-for={home}/go"]
    environment = {
        "PIPELINES_HOME": str(home),
        "CONTROL_TRAINING_COMMAND": json.dumps([*training, *options]),
        "CONTROL_TRAINING_ATTEMPTS": "2",
        "CONTROL_ROLLOUT_DEADLINE_S": "10",
        "ON_DEGRADED": "rollback",
        "LOG_LEVEL": "INFO",
    }
    with (home / "control-plane.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "control_plane.cli", "control-plane"],
            env=os.environ | servers.environment() | environment,
            stdout=log,
            stderr=log,
        )


@contextmanager
def running(servers: Servers, home: Path) -> Iterator[Plane]:
    plane = Plane(servers, home, start(servers, home))
    try:
        yield plane
    finally:
        plane.process.terminate()
        plane.process.wait(30)


@pytest.fixture(scope="module")
def servers(sandbox: Servers) -> Servers:
    ensure_topics(sandbox.kafka_bootstrap_servers, Topics())
    return sandbox


@pytest.fixture(scope="module")
def plane(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running(servers, tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture
def batch() -> Callable[[str], str]:
    return lambda kind: f"{kind}-{uuid.uuid4().hex[:8]}"


def trained(plane: Plane, batch: str) -> events.TrainingSucceeded:
    event = plane.until(batch, "training.succeeded")[-1]
    assert isinstance(event, events.TrainingSucceeded)
    return event


def test_batches_are_trained_one_at_a_time_in_the_order_of_their_arrival(plane, batch):
    batches = [batch("good") for _ in range(3)]
    plane.arrive(*batches)
    plane.until(batches[-1], "training.succeeded")
    records = audit.read(plane.servers.kafka_bootstrap_servers, events.BATCHES)
    told = [
        (record.event.type, record.event.subject) for record in records if record.event.subject in batches
    ]
    assert [story for story in told if story[0] != "batch.arrived"] == [
        (kind, name) for name in batches for kind in ("training.started", "training.succeeded")
    ]


def test_a_training_is_told_with_its_run_and_version(plane, batch):
    name = batch("good")
    plane.arrive(name)
    event = trained(plane, name)
    version = Registry(plane.servers.mlflow_tracking_uri).trained_by(f"train-{name}-1")
    assert version is not None
    assert (event.version, event.run_id) == (version.version, version.run_id)
    assert event.seconds > 0


def test_a_failed_training_is_tried_a_bounded_number_of_times_and_the_queue_goes_on(plane, batch):
    broken, good = batch("broken"), batch("good")
    plane.arrive(broken, good)
    plane.until(good, "training.succeeded")
    failures = [event for event in plane.story(broken) if isinstance(event, events.TrainingFailed)]
    assert [(event.attempt, event.final) for event in failures] == [(1, False), (2, True)]
    assert {event.reason for event in failures} == {"every row is without a price"}


def test_a_training_that_fails_once_is_tried_again(plane, batch):
    name = batch("flaky")
    plane.arrive(name)
    assert trained(plane, name).attempt == 2


def pipelines(servers: Servers, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "control_plane.cli", *arguments],
        env=os.environ | servers.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_refused_batch_is_tried_once_and_taken_when_someone_asks_for_it_all_the_same(plane, batch):
    name = batch("unlike")
    plane.arrive(name)
    *_, refused = plane.until(name, "training.failed")
    assert isinstance(refused, events.TrainingFailed)
    assert (refused.attempt, refused.final, refused.profile) == (1, True, PROFILE)

    assert pipelines(plane.servers, "train", name).returncode == 0
    eventually(lambda: plane.types(name).count("training.failed") == 2)
    assert pipelines(plane.servers, "train", name, "--accept-profile").returncode == 0
    assert trained(plane, name).attempt == 3
    begun = [event for event in plane.story(name) if isinstance(event, events.TrainingStarted)]
    assert [(event.first_attempt, event.accept_profile) for event in begun] == [
        (1, False),
        (2, False),
        (3, True),
    ]


def test_a_batch_that_is_asked_for_has_all_its_attempts_again(plane, batch):
    name = batch("broken")
    plane.arrive(name)
    eventually(lambda: plane.types(name).count("training.failed") == 2)
    assert pipelines(plane.servers, "train", name).returncode == 0
    eventually(lambda: plane.types(name).count("training.failed") == 4)
    failures = [event for event in plane.story(name) if isinstance(event, events.TrainingFailed)]
    assert [(event.attempt, event.final) for event in failures] == [
        (1, False),
        (2, True),
        (3, False),
        (4, True),
    ]


def test_batches_that_are_asked_for_together_are_trained_on_in_that_order(plane, batch):
    first, second = batch("good"), batch("good")
    plane.arrive(first, second)
    trained(plane, second)
    assert pipelines(plane.servers, "backfill", second, "unheard-of").returncode == 1
    assert pipelines(plane.servers, "backfill", second, first, second).returncode == 0
    eventually(lambda: plane.types(first).count("training.succeeded") == 2)
    records = audit.read(plane.servers.kafka_bootstrap_servers, events.BATCHES)
    begun = [
        record.event.subject
        for record in records
        if isinstance(record.event, events.TrainingStarted) and record.event.subject in {first, second}
    ]
    assert begun == [first, second, second, first]


def test_a_batch_that_never_arrived_cannot_be_asked_for(plane, batch):
    said = pipelines(plane.servers, "train", "unheard-of")
    assert said.returncode == 1
    assert said.stderr.startswith("pipelines: batch unheard-of never arrived; ")
    assert said.stderr.count("\n") == 1
    assert plane.story("unheard-of") == []


def test_a_batch_with_an_odd_name_is_a_batch_like_any_other(plane, batch):
    name = batch("../it's a {batch} “of” 100%")
    plane.arrive(name)
    trained(plane, name)


def test_an_event_that_comes_twice_is_one(plane, batch):
    name, after = batch("good"), batch("good")
    plane.arrive(name, name, name)
    trained(plane, name)
    plane.arrive(name, after)
    trained(plane, after)
    assert plane.types(name) == ["batch.arrived"] * 3 + [
        "training.started",
        "training.succeeded",
        "batch.arrived",
    ]
    assert len([start for start in plane.starts() if start[0] == name]) == 1


def test_garbage_in_the_control_topics_is_passed_over(plane, batch):
    producer = Producer({"bootstrap.servers": plane.servers.kafka_bootstrap_servers})
    garbage = [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"specversion": "1.0", "type": "batch.arrived"}',
        None,
    ]
    for topic in (events.BATCHES, events.MODELS):
        for value in garbage:
            producer.produce(topic, key=b"garbage", value=value)
    producer.flush(30)
    name = batch("good")
    plane.arrive(name)
    trained(plane, name)
    assert plane.process.poll() is None


def test_what_faust_writes_is_an_event_with_its_header(plane, batch):
    name = batch("good")
    plane.arrive(name)
    trained(plane, name)
    with audit._reader(plane.servers.kafka_bootstrap_servers) as consumer:
        started = [
            message
            for message in audit._until_end(consumer, events.BATCHES)
            if message.key() == name.encode() and b"training.started" in (message.value() or b"")
        ]
    assert started[0].headers() == list(events.HEADERS.items())


def announce(servers: Servers, version: int) -> None:
    said = events.ServerAnnouncement(
        server=f"test-{version}",
        role="active",
        model_version=version,
        epoch=1,
        pid=1,
        since=datetime.now(UTC),
    )
    producer = Producer({"bootstrap.servers": servers.kafka_bootstrap_servers})
    producer.produce(events.SERVERS, key=said.key, value=said.encode())
    producer.flush(30)


def new_version(plane: Plane, name: str) -> str:
    plane.arrive(name)
    version = trained(plane, name).version
    watchers.watch_models(plane.servers)
    return str(version)


def test_a_version_that_comes_to_answer_is_the_champion_and_one_that_does_not_is_told(plane, batch):
    serving = new_version(plane, batch("good"))
    plane.until(serving, "rollout.started")
    announce(plane.servers, int(serving))
    *_, succeeded = plane.until(serving, "rollout.succeeded")
    assert isinstance(succeeded, events.RolloutSucceeded)
    eventually(lambda: Registry(plane.servers.mlflow_tracking_uri).champion() == int(serving))

    silent = new_version(plane, batch("good"))
    *_, started, failed = plane.until(silent, "rollout.failed")
    assert isinstance(started, events.RolloutStarted)
    assert started.replaces == int(serving)
    assert isinstance(failed, events.RolloutFailed)
    assert failed.reason == f"no server of version {silent} answered within 10 s"

    back = events.RollbackRequested(version=int(silent), requested_at=datetime.now(UTC))
    audit.publish(plane.servers.kafka_bootstrap_servers, back, source="/tests")
    eventually(lambda: plane.types(silent).count("rollout.started") == 2)
    announce(plane.servers, int(silent))
    plane.until(silent, "rollout.succeeded")


def come_to_serve(plane: Plane, version: str, times: int = 1) -> None:
    eventually(lambda: plane.types(version).count("rollout.started") == times)
    announce(plane.servers, int(version))
    eventually(lambda: plane.types(version).count("rollout.succeeded") == times)


def publish_drift(plane: Plane, version: str, windows: int) -> None:
    """Windows of a second each, from now on, whose prices have drifted."""
    producer = Producer({"bootstrap.servers": plane.servers.kafka_bootstrap_servers})
    begin = datetime.now(UTC)
    for number in range(windows):
        start, end = (begin + timedelta(seconds=number + more) for more in (0, 1))
        value = {
            "kind": "drift",
            "window_start": events.iso(start),
            "window_end": events.iso(end),
            "model_version": int(version),
            "feature": "prediction",
            "psi": 0.9,
            "chance": 0.1,
            "count": 500,
            "missing": 0.0,
        }
        producer.produce(METRICS, value=json.dumps(value).encode())
    producer.produce(METRICS, value=b"garbage")
    producer.flush(30)


def test_a_version_that_degrades_is_rolled_back_from_and_never_returned_to(plane, batch):
    before = new_version(plane, batch("good"))
    come_to_serve(plane, before)
    degrades = new_version(plane, batch("good"))
    come_to_serve(plane, degrades)

    publish_drift(plane, degrades, windows=2)
    assert watchers.watch_quality(plane.servers) == []
    publish_drift(plane, degrades, windows=3)
    [told] = watchers.watch_quality(plane.servers)
    assert isinstance(told, events.ModelDegraded)
    assert (told.subject, told.what, told.value, told.bound) == (degrades, "prediction", 0.9, 0.25)
    assert watchers.watch_quality(plane.servers) == [], "it is in the log now"
    come_to_serve(plane, before, times=2)
    eventually(lambda: Registry(plane.servers.mlflow_tracking_uri).champion() == int(before))
    assert plane.types(degrades)[-1] == "model.degraded"
    assert plane.types(before).count("rollback.requested") == 1

    # The one gone back to has nothing to go back to: what was left stays left.
    publish_drift(plane, before, windows=3)
    assert [event.subject for event in watchers.watch_quality(plane.servers)] == [before]
    come_to_serve(plane, new_version(plane, batch("good")))  # read after it
    assert plane.types(degrades)[-1] == "model.degraded"
    assert "rollback.requested" not in plane.types(degrades)


def eventually(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.2)


def kill(plane: Plane) -> None:
    """SIGKILL the control plane in the middle of what it does, and start it anew."""
    plane.process.send_signal(signal.SIGKILL)
    plane.process.wait()
    plane.process = start(plane.servers, plane.home)


def test_a_killed_control_plane_meets_its_running_job_and_starts_it_no_second_time(plane, batch):
    slow, after = batch("slow"), batch("good")
    plane.arrive(slow, after)
    plane.until(slow, "training.started")
    eventually(lambda: slow in [start[0] for start in plane.starts()])
    kill(plane)
    (plane.home / "go").touch()
    trained(plane, after)
    (plane.home / "go").unlink()
    assert plane.types(slow) == ["batch.arrived", "training.started", "training.succeeded"]
    assert [start[1] for start in plane.starts() if start[0] == slow] == ["1"]


def test_a_job_that_ended_while_the_control_plane_was_away_is_told_by_the_next(plane, batch):
    slow = batch("slow")
    plane.arrive(slow)
    eventually(lambda: slow in [start[0] for start in plane.starts()])
    plane.process.send_signal(signal.SIGKILL)
    plane.process.wait()
    (plane.home / "go").touch()
    eventually((plane.home / "jobs" / f"train-{slow}-1" / "exit.json").exists)
    (plane.home / "go").unlink()
    plane.process = start(plane.servers, plane.home)
    trained(plane, slow)
    assert len([start for start in plane.starts() if start[0] == slow]) == 1


def test_killed_again_and_again_the_control_plane_tells_the_same_story(plane, batch):
    batches = [batch(kind) for kind in ("good", "broken", "flaky", "good")]
    plane.arrive(*batches)
    for _ in range(4):
        time.sleep(2.5)  # somewhere in the middle: the point in time is not what the test is about
        kill(plane)
    plane.until(batches[-1], "training.succeeded")
    starts = [(name, int(attempt)) for name, attempt, _ in plane.starts() if name in batches]
    assert starts == [
        (batches[0], 1),
        (batches[1], 1),
        (batches[1], 2),
        (batches[2], 1),
        (batches[2], 2),
        (batches[3], 1),
    ]
