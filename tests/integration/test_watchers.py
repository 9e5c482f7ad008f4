from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests
from hdfs import InsecureClient

from control_plane import audit, events, storage, watchers
from control_plane.registry import MODEL, Registry, RegistryRefusedError, RegistryUnavailableError
from control_plane.settings import Servers, Topics
from control_plane.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def servers(sandbox: Servers) -> Servers:
    ensure_topics(sandbox.kafka_bootstrap_servers, Topics())
    return sandbox


@pytest.fixture
def land(servers: Servers) -> Callable[..., str]:
    client = InsecureClient(servers.hdfs_url, user="somebody")

    def batch(*, complete: bool = True) -> str:
        name = f"batch-{uuid.uuid4().hex[:8]}"
        client.write(f"/batches/{name}/part-00000.csv", b"vin,price\n1,2\n")
        client.write(f"/batches/{name}/part-00001.csv", b"vin,price\n")
        client.write(f"/batches/{name}/.part-00002.csv.crc", b"no data")
        if complete:
            client.write(f"/batches/{name}/_SUCCESS", b"")
        return name

    return batch


def told(servers: Servers, subject: str, topic: str = events.BATCHES) -> list[events.Recorded]:
    return [
        record
        for record in audit.read(servers.kafka_bootstrap_servers, topic)
        if record.event.subject == subject
    ]


def registered(servers: Servers, batches: str) -> str:
    api = f"{servers.mlflow_tracking_uri}/api/2.0/mlflow"
    requests.post(f"{api}/registered-models/create", json={"name": MODEL}, timeout=30)
    run = requests.post(f"{api}/runs/create", json={"experiment_id": "0"}, timeout=30).json()["run"]["info"]
    tags = {"pipelines.job": f"train-{batches}-1", "pipelines.batches": batches, "pipelines.digest": "d"}
    made = requests.post(
        f"{api}/model-versions/create",
        json={
            "name": MODEL,
            "source": f"{run['artifact_uri']}/model",
            "run_id": run["run_id"],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
        timeout=30,
    )
    return str(made.json()["model_version"]["version"])


def test_a_complete_batch_is_told_once_however_often_it_is_watched(servers, land):
    batch = land()
    watchers.watch_batches(servers)
    watchers.watch_batches(servers)
    (record,) = told(servers, batch)
    assert record.event == events.BatchArrived(batch=batch, path=f"/batches/{batch}", files=2, bytes=24)


def test_a_batch_without_success_is_not_told(servers, land):
    batch = land(complete=False)
    watchers.watch_batches(servers)
    assert told(servers, batch) == []


def test_watchers_at_once_tell_the_same_event(servers, land):
    batch = land()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(watchers.watch_batches, [servers] * 4))
    assert {record.id for record in told(servers, batch)} == {f"batch.arrived/{batch}"}


def test_batches_are_told_in_the_order_of_their_completion(servers, land):
    batches = [land() for _ in range(3)]
    watchers.watch_batches(servers)
    arrived = [record.event.subject for record in audit.read(servers.kafka_bootstrap_servers, events.BATCHES)]
    assert [name for name in arrived if name in batches] == batches


def test_a_registered_version_is_told_once_with_its_tags(servers):
    version = registered(servers, "b7,b8")
    watchers.watch_models(servers)
    watchers.watch_models(servers)
    (record,) = told(servers, version, events.MODELS)
    assert isinstance(record.event, events.ModelRegistered)
    assert (record.event.batches, record.event.digest) == (["b7", "b8"], "d")


def test_the_registry_finds_the_version_of_a_job_and_moves_the_champion(servers):
    name = f"it's {uuid.uuid4().hex}"
    version = registered(servers, name)
    registry = Registry(servers.mlflow_tracking_uri)
    found = registry.trained_by(f"train-{name}-1")
    assert found is not None
    assert str(found.version) == version
    assert registry.trained_by("train-nothing-1") is None
    registry.set_champion(found.version)
    assert registry.champion() == found.version


def test_the_registry_refuses_a_champion_that_is_not_there(servers):
    with pytest.raises(RegistryRefusedError, match="999999"):
        Registry(servers.mlflow_tracking_uri).set_champion(999999)


def test_a_model_that_nobody_registered_has_no_versions_and_no_champion(servers):
    registry = Registry(servers.mlflow_tracking_uri, model="nobodys")
    assert (registry.versions(), registry.champion()) == ([], None)


NOWHERE = "http://127.0.0.1:1"


def test_servers_that_are_away_are_named(servers):
    with pytest.raises(storage.StorageUnavailableError, match=NOWHERE):
        storage.landed_batches(NOWHERE)
    with pytest.raises(RegistryUnavailableError, match=NOWHERE):
        Registry(NOWHERE).versions()


def test_an_unreadable_record_in_the_log_stops_no_watcher(servers, land):
    from confluent_kafka import Producer  # noqa: PLC0415

    producer = Producer({"bootstrap.servers": servers.kafka_bootstrap_servers})
    for value in (b"\xff\xfe", b"{}", b"null", None):
        producer.produce(events.BATCHES, key=b"garbage", value=value)
    producer.flush(30)
    batch = land()
    watchers.watch_batches(servers)
    assert len(told(servers, batch)) == 1
