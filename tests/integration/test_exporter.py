"""The exporter on a real Kafka and MLflow, scraped by a real Prometheus that runs every query we ship."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from control_plane import events
from control_plane.audit import publish
from control_plane.events import iso
from control_plane.sandbox.jvm import Jvm
from control_plane.sandbox.kafka import KafkaBroker
from control_plane.sandbox.layout import Layout
from control_plane.sandbox.machine import choose_ports
from control_plane.sandbox.processes import ManagedProcess
from control_plane.settings import Servers, Topics
from control_plane.topics import LISTINGS, MARKER_GROUP, METRICS, OUTCOMES, PREDICTIONS, ensure_topics
from tests.unit.exporter import records
from tests.unit.observability.files import PROMETHEUS, alerts, queries, rules, selectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

PATIENCE_S = 240
QUERIES = list(queries())
VERSIONS = (1, 2)
MEMBERS = ("stack", "linear_svm")
STORY = (
    events.BatchArrived(batch="b1", path="/batches/b1", files=1, bytes=10),
    events.BatchArrived(batch="b2", path="/batches/b2", files=1, bytes=10),
    events.TrainingStarted(batch="b1", attempt=1),
    events.TrainingFailed(batch="b1", attempt=1, reason="killed", final=False, seconds=1.5),
    events.TrainingStarted(batch="b1", attempt=2),
    events.TrainingSucceeded(batch="b1", attempt=2, run_id="r", version=1, seconds=42.0),
)
SERVERS = (("killed", "active", 1, 1), ("leads", "active", 2, 2), ("waits", "standby", 2, None))


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until ``holds`` and return what it gave."""
    give_up = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < give_up, what
        time.sleep(0.1)
    return found


class Broker:
    """A Kafka of these tests' own: they stop it, and count every record of its topics."""

    def __init__(self, home: Path, java: Path) -> None:
        layout = Layout(home)
        self._kafka = KafkaBroker(Jvm(java, layout), choose_ports(KafkaBroker.ports, layout.ports, {}))
        self._kafka.prepare()
        self.address = self._kafka.address
        self.start()

    def start(self) -> None:
        self._kafka.start(PATIENCE_S)
        self._kafka.wait_until_ready(PATIENCE_S)

    def stop(self) -> None:
        self._kafka.broker.stop(grace_s=0)


class World:
    """Everybody else who writes to the topics: serving, monitoring and their clients, by the contract."""

    def __init__(self, kafka: str) -> None:
        self._producer = Producer({"bootstrap.servers": kafka, "linger.ms": 0})
        self._marker = Consumer(
            {"bootstrap.servers": kafka, "group.id": MARKER_GROUP, "enable.auto.commit": False}
        )
        self._stopped = threading.Event()
        self._placed: list[Message] = []

    def write(self, topic: str, key: str, value: dict[str, Any] | None) -> Message:
        """Append a record and return it as the broker has it."""
        self._placed.clear()
        self._producer.produce(
            topic,
            partition=0,
            key=key,
            value=None if value is None else json.dumps(value).encode(),
            on_delivery=lambda _, message: self._placed.append(message),
        )
        assert self._producer.flush(PATIENCE_S) == 0
        return self._placed[0]

    def ask(self, number: int) -> Message:
        return self.write(
            LISTINGS,
            f"r-{number}",
            {"kind": "request", "request_id": f"r-{number}", "listing": {"year": 2017}},
        )

    def answer(self, request: Message, version: int, status: str = "predicted") -> None:
        offset, partition = request.offset() or 0, request.partition() or 0
        answer = json.loads(records.answer(offset, version=version, status=status, partition=partition)) | {
            "request_id": (request.key() or b"").decode(),
            "requested_at": iso(datetime.fromtimestamp(request.timestamp()[1] / 1000, UTC)),
        }
        self.write(PREDICTIONS, answer["request_id"], answer)
        if status == "predicted":
            priced = {"actual": 15_000.0, "priced_at": iso(datetime.now(UTC))}
            self.write(OUTCOMES, answer["request_id"], answer | priced)

    def measure(self, version: int, model: str, end: datetime) -> None:
        window = {"window_start": iso(end - timedelta(seconds=60)), "window_end": iso(end), "model": model}
        errors = {"rmse": 2_500.5, "mae": 2_000.0, "mape": 0.08, "bias": -12.5, "r2": 0.97}
        coverage = 0.9 if model == "stack" else None
        key = "/".join(("error", window["window_start"], window["window_end"], str(version), model))
        rest = {"kind": "error", "model_version": version, "count": 40, "coverage": coverage}
        self.write(METRICS, key, window | errors | rest)

    def drift(self, version: int, end: datetime) -> None:
        span = {"window_start": iso(end - timedelta(seconds=300)), "window_end": iso(end)}
        of = {**span, "model_version": version, "count": 300}
        for feature in ("mileage", "prediction"):
            index = {"psi": 0.12, "chance": 0.08, "missing": 0.1}
            self.write(
                METRICS, f"drift/{version}/{feature}", {"kind": "drift", "feature": feature, **of, **index}
            )
        errors = {"half_width": 5_000.0, "mae": 2_000.0, "rmse": 3_000.0}
        self.write(METRICS, f"estimate/{version}", {"kind": "estimate", **of, **errors})

    def mark(self, request: Message) -> None:
        """Say as serving does that everything up to this request is answered."""
        done = TopicPartition(LISTINGS, 0, (request.offset() or 0) + 1, "0")
        self._marker.commit(offsets=[done], asynchronous=False)

    def go_on(self) -> None:
        """Ask, answer and measure until stopped."""
        number = 0
        while not self._stopped.wait(0.05):
            number += 1
            request = self.ask(number)
            self.answer(request, VERSIONS[number % 2], "rejected" if number % 10 == 0 else "predicted")
            if number % 10 == 0:
                self.mark(request)
                for version in VERSIONS:
                    for model in MEMBERS:
                        self.measure(version, model, datetime.now(UTC))
                    self.drift(version, datetime.now(UTC))

    @contextmanager
    def going_on(self) -> Iterator[None]:
        thread = threading.Thread(target=self.go_on, daemon=True)
        thread.start()
        yield
        self._stopped.set()
        thread.join()
        self._marker.close()


class Exporter:
    """A ``pipelines exporter``."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.port = choose_ports(["exporter"], folder / "exporter.json", {})["exporter"]
        self._environment = os.environ | servers.environment()
        self._environment |= {"EXPORTER_PORT": str(self.port), "EXPORTER_EVERY": "0.2", "LOG_FORMAT": "json"}
        self._log = folder / "exporter.log"

    def start(self) -> None:
        command = [sys.executable, "-m", "control_plane.cli", "exporter"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        until(self.answers, "the exporter answers")

    def answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()[-3000:]
        try:
            return requests.get(self.url, timeout=5).ok
        except requests.ConnectionError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def series(self) -> dict[str, float]:
        """Return each series as it is scraped, labels in order of their names."""
        found = {}
        for family in text_string_to_metric_families(requests.get(self.url, timeout=5).text):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
        return found

    def until(self, series: str, value: float) -> dict[str, float]:
        until(lambda: self.series().get(series) == value, f"{series} is {value}")
        return self.series()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, java: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("exporter-kafka"), java)
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def servers(broker: Broker, sandbox: Servers) -> Servers:
    """Kafka of our own, and the MLflow that all tests share."""
    return sandbox.model_copy(update={"kafka_bootstrap_servers": broker.address})


@pytest.fixture(scope="module")
def runs(sandbox: Servers) -> dict[int, str]:
    """A run in MLflow for each version, with the errors that a training leaves there."""
    return {version: run_with_errors(sandbox.mlflow_tracking_uri) for version in VERSIONS}


def run_with_errors(mlflow: str) -> str:
    api = f"{mlflow}/api/2.0/mlflow/runs"
    made = requests.post(f"{api}/create", json={"experiment_id": "0"}, timeout=30).json()["run"]["info"]
    errors = {f"test.{model}.{figure}": 2_000.0 for model in MEMBERS for figure in ("rmse", "mae")}
    metrics = [{"key": key, "value": value, "timestamp": 0} for key, value in errors.items()]
    requests.post(f"{api}/log-batch", json={"run_id": made["run_id"], "metrics": metrics}, timeout=30)
    return str(made["run_id"])


@pytest.fixture(scope="module")
def exporter(
    servers: Servers, runs: dict[int, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exporter]:
    """It begins before the topics are there, which then tell of two batches and three versions."""
    exporter = Exporter(servers, tmp_path_factory.mktemp("exporter"))
    exporter.start()
    try:
        tell_the_story(servers.kafka_bootstrap_servers, runs)
        yield exporter
    finally:
        if exporter.process.poll() is None:
            exporter.end()


def tell_the_story(kafka: str, runs: dict[int, str]) -> None:
    ensure_topics(kafka, Topics(partitions=2))
    publish(kafka, *STORY, *story_of_models(runs), source="/tests")
    world = World(kafka)
    for name, role, version, epoch in SERVERS:
        said = events.ServerAnnouncement(
            server=name,
            role=role,
            model_version=version,
            epoch=epoch,
            pid=7,
            pids=[7],
            since=datetime.now(UTC),
        )
        world.write(events.SERVERS, name, said.model_dump(mode="json"))


def story_of_models(runs: dict[int, str]) -> list[events.Event]:
    """Versions 1 and 2 were rolled out one after the other, 3 did not come up."""

    def registered(version: int, run_id: str) -> events.ModelRegistered:
        return events.ModelRegistered(version=version, model="used-car-price", run_id=run_id, batches=["b1"])

    window = {"window_start": datetime.now(UTC), "window_end": datetime.now(UTC)}
    return [
        registered(1, runs[1]),
        events.RolloutStarted(version=1, rollout=1, replaces=None),
        events.RolloutSucceeded(version=1, rollout=1, seconds=9.5),
        registered(2, runs[2]),
        events.RolloutStarted(version=2, rollout=2, replaces=1),
        events.RolloutSucceeded(version=2, rollout=2, seconds=3.0),
        registered(3, "a-run-that-was-deleted"),
        events.RolloutStarted(version=3, rollout=3, replaces=2),
        events.RolloutFailed(version=3, rollout=3, reason="no memory"),
        events.ModelDegraded(version=2, what="rmse", value=4_000, bound=3_000, windows=3, **window),
    ]


class Prometheus:
    """A real one, with our configuration but for where the exporter is and how often it looks."""

    def __init__(self, program: str, folder: Path, exporter: Exporter) -> None:
        port = choose_ports(["prometheus"], folder / "prometheus.json", {})["prometheus"]
        self.url = f"http://127.0.0.1:{port}"
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [str(PROMETHEUS / "rules" / "*.yml")]
        jobs = {job["job_name"]: job for job in config["scrape_configs"]}
        jobs["car-price"]["static_configs"] = [{"targets": [f"127.0.0.1:{exporter.port}"]}]
        jobs["prometheus"]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        options = [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self.process = ManagedProcess("prometheus", [program, *options], log_file=folder / "prometheus.log")
        self.process.start()
        self.process.wait_until_ready(self._ready, PATIENCE_S)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def get(self, path: str, **fields: str) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=fields, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what a query finds, as Grafana would ask it."""
        for variable in ("$model_version", "$model"):
            expression = expression.replace(variable, ".*")
        expression = expression.replace("$__rate_interval", "1m")
        return list(self.get("query", query=expression)["result"])


@pytest.fixture(scope="class")
def prometheus(
    exporter: Exporter, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    if (program := shutil.which("prometheus")) is None:
        pytest.skip("prometheus is not on the PATH (Debian: the package prometheus)")
    with World(servers.kafka_bootstrap_servers).going_on():
        prometheus = Prometheus(program, tmp_path_factory.mktemp("prometheus"), exporter)
        yield prometheus
        prometheus.process.stop()


def test_it_tells_what_the_topics_say(exporter):
    found = exporter.until('car_price_rollouts_total{outcome="failed"}', 1)
    found |= exporter.until('car_price_serving_servers{role="standby"}', 1)
    said = {
        "car_price_exporter_kafka_up": 1,
        "car_price_trainings_started_total": 2,
        'car_price_trainings_total{outcome="succeeded"}': 1,
        'car_price_trainings_total{outcome="retried"}': 1,
        'car_price_training_duration_seconds_sum{outcome="succeeded"}': 42,
        'car_price_batches{status="training"}': 1,
        'car_price_batches{status="trained"}': 1,
        "car_price_models_registered_total": 3,
        'car_price_models_degraded_total{what="rmse"}': 1,
        "car_price_rollouts_started_total": 3,
        'car_price_rollouts_total{outcome="succeeded"}': 2,
        "car_price_wanted_model_version": 2,
        "car_price_serving_model_version": 2,
        "car_price_serving_epoch": 2,
        'car_price_serving_servers{role="active"}': 1,
        'car_price_unreadable_records_total{topic="control.batches"}': 0,
        'car_price_serving_lag_records{partition="0"}': 0,
        'car_price_serving_lag_records{partition="1"}': 0,
    }
    assert said.items() <= found.items()


def test_what_comes_is_told_from_then_on(exporter, servers):
    exporter.until('car_price_serving_lag_records{partition="0"}', 0)
    world = World(servers.kafka_bootstrap_servers)
    first, second, third = (world.ask(number) for number in range(3))
    exporter.until('car_price_serving_lag_records{partition="0"}', 3)
    world.answer(first, 2)
    world.answer(second, 2, "rejected")
    world.answer(first, 2)  # a server that woke
    world.mark(second)
    end = datetime.now(UTC)
    world.measure(2, "stack", end)
    world.drift(2, end)
    found = exporter.until('car_price_serving_lag_records{partition="0"}', 1)
    found |= exporter.until('car_price_live_rmse_dollars{model="stack",model_version="2"}', 2_500.5)
    found |= exporter.until('car_price_drift_psi{feature="mileage",model_version="2"}', 0.12)
    found |= exporter.until('car_price_estimated_rmse_dollars{model_version="2"}', 3_000)
    found |= exporter.until("car_price_repeated_answers_total", 1)
    found |= exporter.until('car_price_topic_records_total{topic="predictions"}', 3)
    said = {
        'car_price_answers_total{model_version="2",status="predicted"}': 1,
        'car_price_answers_total{model_version="2",status="rejected"}': 1,
        "car_price_answer_latency_seconds_count": 2,
        'car_price_topic_records_total{topic="listings"}': 3,
        'car_price_live_window_outcomes{model="stack",model_version="2"}': 40,
    }
    assert said.items() <= found.items()
    ended = found['car_price_live_window_end_timestamp_seconds{model="stack",model_version="2"}']
    assert ended == pytest.approx(end.timestamp(), abs=0.001)
    world.answer(third, 2)
    world.mark(third)
    exporter.until('car_price_serving_lag_records{partition="0"}', 0)


def test_the_errors_on_held_out_cars_come_from_mlflow(exporter):
    found = exporter.until('car_price_held_out_mae_dollars{model="stack",model_version="2"}', 2_000)
    assert {name for name in found if name.startswith("car_price_held_out_mae")} == {
        f'car_price_held_out_mae_dollars{{model="{model}",model_version="{version}"}}'
        for model in MEMBERS
        for version in VERSIONS
    }


class TestPrometheus:
    """While records come; they stop with the last of these tests."""

    @pytest.mark.parametrize(("place", "expression"), QUERIES, ids=[place for place, _ in QUERIES])
    def test_each_query_of_each_dashboard_has_data(self, prometheus, place, expression):
        until(lambda: prometheus.query(expression), f"{place}: {expression} finds nothing")

    @pytest.mark.parametrize("recorded", [rule["record"] for rule in rules() if "record" in rule])
    def test_each_rule_that_records_has_data(self, prometheus, recorded):
        until(lambda: prometheus.query(recorded), f"{recorded} finds nothing")

    @pytest.mark.parametrize("alert", alerts())
    def test_each_series_that_an_alert_asks_for_is_there(self, prometheus, alert):
        asked = selectors(alerts()[alert]["expr"])
        assert asked
        for series in asked:
            until(lambda series=series: prometheus.query(series), f"{series} is not there")

    def test_prometheus_finds_nothing_wrong_with_rules_or_targets(self, prometheus):
        def health(path: str, *names: str) -> set[str]:
            found = prometheus.get(path)
            return {one["health"] for one in (found["activeTargets"] if names else all_rules(found))}

        def all_rules(found: Any) -> list[dict[str, Any]]:
            return [rule for group in found["groups"] for rule in group["rules"]]

        assert until(lambda: health("targets", "active") == {"up"}, "all targets are up")
        assert until(lambda: health("rules") == {"ok"}, "all rules are evaluated")
        assert len(all_rules(prometheus.get("rules"))) == len(rules())

    def test_prometheus_knows_each_metric_by_type_and_help(self, prometheus):
        known = prometheus.get("metadata")
        ours = {name: told[0] for name, told in known.items() if name.startswith("car_price")}
        assert len(ours) > 25
        for name, told in ours.items():
            assert told["type"] != "unknown", name
            assert told["help"].endswith("."), name


def test_an_exporter_that_is_killed_tells_the_same_of_the_log_again(exporter):
    def of_the_log() -> dict[str, float]:
        parts = ("training", "rollout", "batches", "models", "wanted", "serving_epoch")
        return {
            name: value
            for name, value in exporter.series().items()
            if name.removeprefix("car_price_").removeprefix("last_").startswith(parts)
        }

    before = of_the_log()
    assert len(before) > 20
    exporter.process.kill()
    exporter.process.wait()
    exporter.start()
    # From nothing at once to all of it: a scrape in between would see counters rise that did not.
    assert until(of_the_log, "the log was read") == before


def test_it_outlives_the_broker_and_goes_on_when_that_is_back(exporter, broker, servers):
    before = exporter.until("car_price_exporter_kafka_up", 1)
    broker.stop()
    away = exporter.until("car_price_exporter_kafka_up", 0)
    assert not [name for name in away if "lag" in name or "topic_records" in name], "nobody knows them now"
    of_the_log = "car_price_rollouts_started_total"
    assert away[of_the_log] == before[of_the_log]

    broker.start()
    exporter.until("car_price_exporter_kafka_up", 1)
    publish(
        servers.kafka_bootstrap_servers,
        events.BatchArrived(batch="b3", path="/batches/b3", files=1, bytes=10),
        source="/tests",
    )
    exporter.until('car_price_batches{status="waiting"}', 1)
    world = World(servers.kafka_bootstrap_servers)
    world.answer(world.ask(9_001), 7)
    exporter.until('car_price_answers_total{model_version="7",status="predicted"}', 1)


def test_new_partitions_are_followed(exporter, servers):
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415
    from confluent_kafka.cimpl import NewPartitions  # noqa: PLC0415

    admin = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    more = [NewPartitions(topic, 3) for topic in (LISTINGS, PREDICTIONS)]
    for future in admin.create_partitions(more).values():
        future.result(30)
    exporter.until('car_price_serving_lag_records{partition="2"}', 0)


def test_it_ends_when_it_is_told_to(exporter):
    assert exporter.end() == 0


def test_an_address_that_is_taken_is_one_sentence(exporter, servers, tmp_path):
    taken = requests.Request("GET", servers.mlflow_tracking_uri).prepare().url.rstrip("/").rsplit(":", 1)[1]
    said = subprocess.run(
        [sys.executable, "-m", "control_plane.cli", "exporter"],
        env=os.environ | {"EXPORTER_PORT": taken},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert said.stderr.startswith(f"pipelines: EXPORTER_HOST=127.0.0.1, EXPORTER_PORT={taken} cannot be")
    assert said.stderr.count("\n") == 1
