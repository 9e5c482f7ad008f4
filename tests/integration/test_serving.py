"""Serving on a real Kafka: under load, servers are killed in every way, and each request gets one answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer

from control_plane import audit
from control_plane.answered_view import audited
from control_plane.events import RolloutStarted, ShadowRequested, ShadowStopped
from control_plane.patience import patiently
from control_plane.predicting import predicted
from control_plane.settings import Topics
from control_plane.topics import LISTINGS, MARKER_GROUP, PREDICTIONS, PREDICTIONS_SHADOW, ensure_topics
from spark_apps.listings.facts import Facts
from spark_apps.listings.features import statement as read_as_models_do
from spark_apps.listings.samples import LISTING
from spark_apps.serving import preconditions
from tests.registering import register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    from control_plane.events import ServerAnnouncement
    from control_plane.settings import Servers

# Of its own, since other tests register versions of the real name.
MODEL = "used-car-price-serving-tests"
PARTITIONS = 2
RATE = 50
PATIENCE_S = 240


def stand_in(price: float) -> PipelineModel:
    """A model that asks the same price for every car: the version that answered shows in the price."""
    statement = f"""SELECT *, {price}D AS prediction, {price - 1}D AS low, {price + 1}D AS high,
                    named_struct('linear_svm', {price}D) AS members FROM __THIS__"""  # noqa: S608
    return PipelineModel(
        [SQLTransformer(statement=sql) for sql in (read_as_models_do(Facts(2020.7)), statement)]
    )


def empty_topics(kafka: str) -> None:
    """Make the data topics anew: what other tests wrote there is no ledger."""
    admin = AdminClient({"bootstrap.servers": kafka})
    there = [name for name in (LISTINGS, PREDICTIONS) if name in admin.list_topics(timeout=30).topics]
    for future in admin.delete_topics(there).values() if there else ():
        future.result(30)
    until(lambda: not {LISTINGS, PREDICTIONS} & set(admin.list_topics(timeout=30).topics), "the topics went")
    ensure_topics(kafka, Topics(partitions=PARTITIONS))
    reader = Consumer({"bootstrap.servers": kafka, "group.id": "serving-tests"})
    for topic in (LISTINGS, PREDICTIONS):
        for partition in range(PARTITIONS):  # each has a leader only a moment after it was made
            place = TopicPartition(topic, partition)
            patiently(partial(reader.get_watermark_offsets, place, timeout=30))
    reader.close()


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until ``holds`` and return what it gave."""
    give_up = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < give_up, f"it never came that {what}"
        time.sleep(0.1)
    return found


@dataclass
class Fleet:
    """The supervisor and its servers, as what they say of themselves tells."""

    kafka: str
    versions: list[int]
    environment: dict[str, str]
    rollouts: int = 0

    def roll_out(self, version: int, replaces: int | None) -> None:
        self.rollouts += 1
        event = RolloutStarted(version=version, rollout=self.rollouts, replaces=replaces)
        audit.publish(self.kafka, event, source="/tests")

    def servers(self, *roles: str) -> list[ServerAnnouncement]:
        """Return the living ones that know their version; other tests' servers have no processes."""
        return [
            one
            for one in audit.servers(self.kafka)
            if one.role in roles and one.model_version and one.pids and psutil.pid_exists(one.pids[0])
        ]

    def ready(self) -> ServerAnnouncement:
        """Wait until one server leads and another is warm, and return the leader."""
        until(lambda: self.servers("active") and self.servers("standby"), "one leads and one stands by")
        return self.servers("active")[-1]


@pytest.fixture(scope="module")
def fleet(sandbox: Servers, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("serving")
    kafka = sandbox.kafka_bootstrap_servers
    empty_topics(kafka)
    mlflow.MlflowClient(sandbox.mlflow_tracking_uri).create_registered_model(MODEL)
    versions = [
        version
        for price in (10_000.0, 20_000.0)
        for version in register(sandbox.mlflow_tracking_uri, MODEL, stand_in(price), home / str(price))
    ]
    environment = os.environ | sandbox.environment()
    environment |= {
        "PIPELINES_HOME": str(home),
        "SERVING_MODEL": MODEL,
        "SERVING_WARMUP_BURSTS": "1",
        "SERVING_SCRATCH": str(home),
    }
    with (home / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "spark_apps.serving.supervisor"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    fleet = Fleet(kafka, versions, environment)
    fleet.roll_out(versions[0], None)
    yield fleet
    supervisor.terminate()
    assert supervisor.wait(30) == 0
    assert list(home.glob("car-price-serving-*")) == []
    empty_topics(kafka)  # which have grown


class Answers:
    """What comes to stand in predictions, or in another topic of answers, from now on."""

    def __init__(self, kafka: str, topic: str = PREDICTIONS) -> None:
        self._reader = Consumer(
            {"bootstrap.servers": kafka, "group.id": "serving-tests", "enable.auto.commit": False}
        )
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        for place in places:
            place.offset = self._reader.get_watermark_offsets(place, timeout=30)[1]
        self._reader.assign(places)
        self.read: list[dict[str, Any]] = []

    def so_far(self) -> list[dict[str, Any]]:
        for message in self._reader.consume(500, 0.1):
            assert message.error() is None
            answer = json.loads(message.value() or b"")
            assert answer.get("partition", message.partition()) == message.partition()
            self.read.append(answer)
        return self.read


class Load:
    """Requests at a steady rate, prices among them, as long as the context lasts."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._stop = threading.Event()
        self._sender = threading.Thread(target=self._send)
        self.run = uuid.uuid4().hex[:8]
        self.sent = 0

    def __enter__(self) -> Load:
        self._sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._sender.join()

    def _send(self) -> None:
        producer = Producer({"bootstrap.servers": self._kafka, "linger.ms": 0})
        began = time.monotonic()
        while not self._stop.wait(max(0.0, began + self.sent / RATE - time.monotonic())):
            request_id = f"{self.run}-{self.sent}"
            producer.produce(LISTINGS, key=request_id, value=request(request_id))
            if self.sent % 3 == 0:
                price = {"kind": "price", "request_id": request_id, "price": 1.0}
                producer.produce(LISTINGS, key=request_id, value=json.dumps(price))
            self.sent += 1
        producer.flush(60)


def request(request_id: str) -> str:
    return json.dumps({"kind": "request", "request_id": request_id, "listing": LISTING})


def assert_each_answered_once_and_in_order(load: Load, answers: Answers) -> list[dict[str, Any]]:
    """Wait for the answer to everything sent, look once more for second ones, and return them."""

    def own() -> list[dict[str, Any]]:
        return [one for one in answers.so_far() if one["request_id"].startswith(load.run)]

    until(lambda: len({one["request_id"] for one in own()}) == load.sent, f"all {load.sent} are answered")
    found = own()
    twice = [name for name, times in Counter(one["request_id"] for one in found).items() if times > 1]
    assert twice == []
    for partition in range(PARTITIONS):
        offsets = [one["offset"] for one in found if one["partition"] == partition]
        assert offsets == sorted(offsets)
    return found


def kill_all(server: ServerAnnouncement) -> None:
    for pid in server.pids:
        os.kill(pid, signal.SIGKILL)


def kill_python_alone(server: ServerAnnouncement) -> None:
    os.kill(server.pids[0], signal.SIGKILL)


def kill_jvm_alone(server: ServerAnnouncement) -> None:
    os.kill(server.pids[1], signal.SIGKILL)


def terminate(server: ServerAnnouncement) -> None:
    os.kill(server.pids[0], signal.SIGTERM)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.timeout(600)
def test_servers_start_without_a_stack_trace_in_the_log(fleet):
    fleet.ready()
    log = (Path(fleet.environment["PIPELINES_HOME"]) / "supervisor.log").read_text()
    assert log.count("serving.standby") >= 2
    assert [line for line in log.splitlines() if "ERROR" in line or line.startswith("\tat ")] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [terminate, kill_all, kill_python_alone, kill_jvm_alone])
def test_each_request_is_answered_once_when_the_active_server_ends_under_load(fleet, end):
    leader = fleet.ready()
    answers = Answers(fleet.kafka)
    with Load(fleet.kafka) as load:
        until(lambda: len(answers.so_far()) > RATE, "answers come")
        end(leader)
        until(lambda: answers.so_far()[-1]["epoch"] > leader.epoch, "a successor answers")
    found = assert_each_answered_once_and_in_order(load, answers)
    assert {one["epoch"] for one in found} == {leader.epoch, leader.epoch + 1}
    counts, epochs = audited(fleet.kafka, lambda *_: None)
    assert counts.broken == []
    assert counts.requests == counts.answered >= load.sent, "all, those of the tests before too"
    assert counts.repeated == 0
    assert leader.epoch + 1 == max(epochs)
    until(lambda: not any(_runs(pid) for pid in leader.pids), "both processes of the dead are gone")


@pytest.mark.timeout(600)
def test_a_hole_is_filled_and_what_is_answered_above_it_is_not_answered_again(fleet):
    leader = fleet.ready()
    answers = Answers(fleet.kafka)
    for pid in reversed(leader.pids):
        os.kill(pid, signal.SIGSTOP)
    offsets = produce(fleet.kafka, LISTINGS, *(request(f"hole-{number}") for number in range(3)))
    # As if the leader's producer had lost the batch before this one.
    theirs = {"request_id": "hole-1", "offset": offsets[1], "epoch": leader.epoch}
    produce(fleet.kafka, PREDICTIONS, json.dumps(theirs))
    kill_all(leader)
    until(lambda: any(one["request_id"] == "hole-2" for one in answers.so_far()), "the end is answered")
    found = [one["request_id"] for one in answers.read if one["request_id"].startswith("hole")]
    assert found == ["hole-1", "hole-0", "hole-2"]


def produce(kafka: str, topic: str, *values: str) -> list[int]:
    """Append to partition 0 and return the offsets."""
    producer = Producer({"bootstrap.servers": kafka})
    offsets: list[int] = []
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=lambda _, told: offsets.append(told.offset()))
    producer.flush(30)
    return offsets


@pytest.mark.timeout(600)
def test_a_rollout_hands_over_to_the_new_version_without_a_lost_or_second_answer(fleet):
    old, new = fleet.versions
    fleet.ready()
    answers = Answers(fleet.kafka)
    with Load(fleet.kafka) as load:
        until(lambda: len(answers.so_far()) > RATE, "answers come")
        fleet.roll_out(new, old)
        until(lambda: answers.so_far()[-1]["model_version"] == new, "the new version answers")
    found = assert_each_answered_once_and_in_order(load, answers)
    assert {(one["model_version"], one["price"]) for one in found} == {(old, 10_000.0), (new, 20_000.0)}
    fleet.ready()
    assert {one.model_version for one in fleet.servers("active", "standby")} == {new}


@pytest.mark.timeout(600)
def test_a_shadow_answers_every_request_once_to_its_own_topic_and_leaves_predictions_alone(fleet):
    leader = fleet.ready()
    shadows = next(version for version in fleet.versions if version != leader.model_version)
    answers, shadow_answers = Answers(fleet.kafka), Answers(fleet.kafka, PREDICTIONS_SHADOW)
    asked_at = datetime.now(UTC)
    audit.publish(fleet.kafka, ShadowRequested(version=shadows, requested_at=asked_at), source="/tests")
    with Load(fleet.kafka) as load, shadow(fleet) as first:
        until(lambda: len(shadow_answers.so_far()) > RATE, "the shadow answers")
        [said] = fleet.servers("shadow")
        assert (said.model_version, said.pids[0]) == (shadows, first.pid)
        kill_all(said)
        first.wait(PATIENCE_S)
        before = len(shadow_answers.so_far())
        with shadow(fleet) as second:
            until(lambda: len(shadow_answers.so_far()) > before + RATE, "the next one answers")
            audit.publish(
                fleet.kafka, ShadowStopped(version=shadows, requested_at=datetime.now(UTC)), source="/tests"
            )
            assert second.wait(PATIENCE_S) == 0, "it ends when none is wanted any more"
    found = assert_each_answered_once_and_in_order(load, answers)
    assert {(one["epoch"], one["model_version"]) for one in found} == {(leader.epoch, leader.model_version)}
    assert fleet.servers("shadow") == []
    of_shadow = shadow_answers.so_far()
    assert {one["model_version"] for one in of_shadow} == {shadows}
    for partition in range(PARTITIONS):
        offsets = [one["offset"] for one in of_shadow if one["partition"] == partition]
        live = [one["offset"] for one in found if one["partition"] == partition]
        assert offsets == live[: len(offsets)], "all since it was asked for, each once, in order"


@contextmanager
def shadow(fleet: Fleet) -> Iterator[subprocess.Popen[bytes]]:
    """A shadow's process, which is gone when the context ends."""
    process = subprocess.Popen([sys.executable, "-m", "spark_apps.serving.shadow"], env=fleet.environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(600)
def test_listings_are_priced_in_the_order_in_which_they_were_asked_for(fleet):
    fleet.ready()
    asked = [json.dumps(LISTING | {"mileage": "far"} if number % 3 else LISTING) for number in range(30)]
    found = list(predicted(fleet.kafka, [*asked, "{}"], patience_s=PATIENCE_S))
    assert [number for number, _ in found] == list(range(31))
    *answers, last = [answer for _, answer in found]
    assert [answer.reason is None for answer in answers] == [number % 3 == 0 for number in range(30)]
    assert {answer.status for answer in answers} == {"predicted"}
    assert last.status == "rejected"


@pytest.mark.timeout(600)
def test_the_marker_stands_where_all_is_answered(fleet):
    fleet.ready()
    reader = Consumer(
        {"bootstrap.servers": fleet.kafka, "group.id": MARKER_GROUP, "enable.auto.commit": False}
    )
    places = [TopicPartition(LISTINGS, partition) for partition in range(PARTITIONS)]

    def at_the_end() -> bool:
        markers = reader.committed(places, timeout=30)
        return all(
            marker.offset == reader.get_watermark_offsets(place)[1]
            and int(marker.metadata)
            == reader.get_watermark_offsets(TopicPartition(PREDICTIONS, place.partition))[1]
            for place, marker in zip(places, markers, strict=True)
        )

    until(at_the_end, "the marker is at the end")
    reader.close()


def test_the_topics_as_the_system_makes_them_satisfy_the_preconditions(fleet):
    assert preconditions.check(fleet.kafka, Topics()) == PARTITIONS


@pytest.mark.timeout(600)
def test_servers_that_start_after_topics_have_grown_answer_in_the_new_partitions_too(fleet):
    """The last test: those before it count on as many partitions as there were."""
    leader = fleet.ready()
    admin = AdminClient({"bootstrap.servers": fleet.kafka})
    for topic in (PREDICTIONS, LISTINGS):  # in this order every request has a place for its answer
        admin.create_partitions([NewPartitions(topic, PARTITIONS + 1)])[topic].result(30)
    [before, *_] = fleet.servers("standby")
    producer = Producer({"bootstrap.servers": fleet.kafka, "linger.ms": 0})
    producer.produce(LISTINGS, key="grown", value=request("grown"), partition=PARTITIONS)
    producer.flush(60)

    kill_all(before)
    until(lambda: {one.server for one in fleet.servers("standby")} - {before.server}, "another one stands by")
    terminate(leader)

    reader = Consumer({"bootstrap.servers": fleet.kafka, "group.id": "grown", "enable.auto.commit": False})
    reader.assign([TopicPartition(PREDICTIONS, PARTITIONS, 0)])
    answered = until(lambda: reader.consume(1, 0.5), "the request in the new partition is answered")
    reader.close()
    [answer] = [json.loads(message.value() or b"") for message in answered]
    assert (answer["request_id"], answer["partition"], answer["offset"]) == ("grown", PARTITIONS, 0)
    assert answer["epoch"] == leader.epoch + 1
