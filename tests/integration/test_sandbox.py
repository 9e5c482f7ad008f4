"""The sandbox on real servers: it works, it is reachable from this machine only, and it leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import mlflow
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hdfs import InsecureClient
from pyspark.ml.feature import VectorAssembler

from control_plane.sandbox.sandbox import Sandbox
from control_plane.settings import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

# A program that keeps a sandbox until it is killed. Its Kafka's identifier begins with a dash, as one in
# 64 does.
KEEPER = """
import json, sys, time, uuid
from pathlib import Path
from control_plane import logs
from control_plane.sandbox.sandbox import Sandbox
uuid.uuid4 = lambda: uuid.UUID(bytes=bytes([0xF8] * 16))
logs.configure()
sandbox = Sandbox(Path(sys.argv[1]))
with sandbox as servers:
    pids = [process.pid for process in sandbox.processes]
    print(json.dumps({"servers": servers.model_dump(), "pids": pids}), flush=True)
    time.sleep(600)
"""


def eventually(holds: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def make_topic(servers: Servers, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    admin.create_topics([NewTopic(name, num_partitions=1)])[name].result(30)


def produce(servers: Servers, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": servers.kafka_bootstrap_servers})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def first_value(servers: Servers, topic: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": servers.kafka_bootstrap_servers, "group.id": "tests"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    value = message.value()
    assert isinstance(value, bytes)
    return value


def log_run(servers: Servers, text: str) -> str:
    client = mlflow.MlflowClient(servers.mlflow_tracking_uri)
    run_id = str(client.create_run("0").info.run_id)
    client.log_text(run_id, text, "note.txt")
    return run_id


def artifact(servers: Servers, run_id: str, folder: Path) -> str:
    client = mlflow.MlflowClient(servers.mlflow_tracking_uri)
    path = client.download_artifacts(run_id, "note.txt", str(folder))
    with open(path) as file:  # noqa: PTH123  # MLflow gives a string
        return file.read()


def test_any_user_may_write_a_batch(sandbox: Servers) -> None:
    writer = InsecureClient(sandbox.hdfs_url, user="a-stranger")
    writer.write("/batches/by-a-stranger/part-0.csv", data=b"vin,price\n" * 100_000)
    reader = InsecureClient(sandbox.hdfs_url, user="somebody-else")
    assert reader.status("/batches/by-a-stranger/part-0.csv")["length"] == 1_000_000
    reader.write("/batches/by-a-stranger/_SUCCESS", data=b"")
    with reader.read("/batches/by-a-stranger/part-0.csv") as file:
        assert file.read(9) == b"vin,price"


def test_what_is_produced_is_consumed(sandbox: Servers) -> None:
    topic = f"sandbox-{uuid.uuid4()}"
    make_topic(sandbox, topic)
    produce(sandbox, topic, b"hello")
    assert first_value(sandbox, topic) == b"hello"


def test_a_topic_is_never_made_by_accident(sandbox: Servers) -> None:
    admin = AdminClient({"bootstrap.servers": sandbox.kafka_bootstrap_servers})
    admin.list_topics("misspelt", timeout=30)
    assert "misspelt" not in admin.list_topics(timeout=30).topics


def test_an_artifact_goes_through_mlflow_and_comes_back(sandbox: Servers, tmp_path: Path) -> None:
    assert artifact(sandbox, log_run(sandbox, "R² = 0.93"), tmp_path) == "R² = 0.93"


def test_spark_reads_kafka_and_hdfs(sandbox: Servers, spark: SparkSession) -> None:
    topic = f"sandbox-{uuid.uuid4()}"
    make_topic(sandbox, topic)
    produce(sandbox, topic, b"hello")
    options = {"kafka.bootstrap.servers": sandbox.kafka_bootstrap_servers, "subscribe": topic}
    records = spark.read.format("kafka").options(**options).load()
    assert [bytes(row.value) for row in records.collect()] == [b"hello"]
    spark.createDataFrame([(1,), (2,)], "id int").write.parquet(f"{sandbox.hdfs_root}/train-sets/{topic}")
    assert spark.read.parquet(f"{sandbox.hdfs_root}/train-sets/{topic}").count() == 2


def test_spark_has_xgboost_with_its_native_library(spark: SparkSession) -> None:
    line = spark.range(500).selectExpr("id / 500 AS x", "3 * id / 500 AS label")
    rows = VectorAssembler(inputCols=["x"], outputCol="features").transform(line)
    jvm: Any = spark._jvm
    estimator = jvm.ml.dmlc.xgboost4j.scala.spark.XGBoostRegressor().setNumRound(10).setNumWorkers(1)
    booster = estimator.fit(rows._jdf).nativeBooster()
    assert booster.getNumFeature() == 1


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a sandbox of its own in ``tmp_path`` and says where it is once it is ready."""
    command = [sys.executable, "-c", KEEPER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_killed_sandbox_leaves_nothing_running_and_comes_back_with_its_data(
    keeper: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert keeper.stdout is not None
    facts = json.loads(keeper.stdout.readline())
    servers = Servers(**facts["servers"])
    make_topic(servers, "kept")
    produce(servers, "kept", b"before the crash")
    run_id = log_run(servers, "before the crash")
    InsecureClient(servers.hdfs_url, user="tests").write("/batches/kept/_SUCCESS", data=b"before the crash")

    keeper.send_signal(signal.SIGKILL)
    keeper.wait()
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in facts["pids"]))

    again = Sandbox(tmp_path)
    with again as servers_again:
        assert servers_again == servers
        assert first_value(servers_again, "kept") == b"before the crash"
        assert artifact(servers_again, run_id, tmp_path) == "before the crash"
        with InsecureClient(servers_again.hdfs_url, user="tests").read("/batches/kept/_SUCCESS") as file:
            assert file.read() == b"before the crash"
        pids = [process.pid for process in again.processes]
        assert len(pids) == 4
        assert listening(pids) == {"127.0.0.1"}
    assert not any(psutil.pid_exists(pid) for pid in pids if pid is not None)


def listening(pids: list[int | None]) -> set[str]:
    """Return the addresses on which any of the processes or their children listen."""
    processes = [psutil.Process(pid) for pid in pids]
    family = processes + [child for process in processes for child in process.children(recursive=True)]
    connections = [connection for process in family for connection in process.net_connections("inet")]
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
