"""Drift on real servers: what is published follows from the topics and the registered reference."""

from __future__ import annotations

import csv
import json
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from confluent_kafka import Producer

from control_plane import topics
from control_plane.settings import Servers, Topics
from control_plane.simulator.drift import drifting
from control_plane.simulator.generator import generate
from spark_apps.drift.psi import psi
from spark_apps.drift.reference import (
    INTERVAL_WIDTH,
    PREDICTION,
    Reference,
    category_bins,
    error_by_width,
    number_bins,
    output_bins,
)
from tests.chaos.monitoring.application import Application
from tests.integration.test_monitoring import PARTITIONS, Log, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

WINDOW_MS = 10_000
AT_LEAST = 50
OLD_VERSION = 7_777  # never registered


def reference_of(listings: list[dict[str, str]]) -> Reference:
    miles = sorted(float(listing["mileage"]) for listing in listings if listing["mileage"])
    quantiles = [miles[min(len(miles) - 1, level * len(miles) // 1000)] for level in range(1001)]
    prices = np.array([float(listing["price"]) for listing in listings])
    return Reference(
        numbers={"mileage": number_bins(quantiles, len(miles), len(listings) - len(miles))},
        categories={
            "make": category_bins(Counter(one["make_name"].lower() for one in listings), len(listings), 0)
        },
        outputs={PREDICTION: output_bins(prices), INTERVAL_WIDTH: output_bins(prices / 2)},
        errors=error_by_width(prices / 4, prices / 10),
    )


def register(servers: Servers, reference: Reference, folder: Path) -> int:
    """Register a version that is nothing but its reference."""
    api = f"{servers.mlflow_tracking_uri}/api/2.0"
    model = {"name": "used-car-price"}
    requests.post(f"{api}/mlflow/registered-models/create", json=model, timeout=30)
    asked = requests.post(f"{api}/mlflow/runs/create", json={"experiment_id": "0"}, timeout=30)
    run = asked.json()["run"]["info"]
    reference.write(folder)
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    address = f"{api}/mlflow-artifacts/artifacts/{path}/model/sparkml/reference.json"
    content = (folder / "reference.json").read_bytes()
    requests.put(address, data=content, timeout=30).raise_for_status()
    version = {
        **model,
        "source": f"{run['artifact_uri']}/model",
        "run_id": run["run_id"],
        "tags": [{"key": "pipelines.reference", "value": reference.digest}],
    }
    made = requests.post(f"{api}/mlflow/model-versions/create", json=version, timeout=30)
    return int(made.json()["model_version"]["version"])


class World:
    """Asks and answers, in the contract's words, at the listings' own prices; and sends garbage."""

    def __init__(self, brokers: str) -> None:
        self._producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})
        self._number = 0

    def ask(self, version: int, listings: Iterable[dict[str, str]]) -> None:
        for garbage in (b"", b"no JSON", b"\xff\xfe", b"[" * 5_000, b"[]", None):
            self._producer.produce(topics.LISTINGS, garbage)
            self._producer.produce(topics.PREDICTIONS, garbage)
        for listing in listings:
            request_id, partition = f"drift-{self._number}", self._number % PARTITIONS
            known = {name: value for name, value in listing.items() if value and name != "price"}
            self._send(topics.LISTINGS, partition, {
                "kind": "request", "request_id": request_id, "listing": known,
            })  # fmt: skip
            price = float(listing["price"])
            self._send(topics.PREDICTIONS, partition, {
                "request_id": request_id, "status": "predicted", "price": price, "low": 0.75 * price,
                "high": 1.25 * price, "members": {}, "model_version": version, "reason": None,
                "partition": partition, "offset": 5_000_000 + self._number, "epoch": 1,
                "requested_at": "2026-01-31T12:00:00.000Z",
            })  # fmt: skip
            self._number += 1
        self._producer.flush()

    def _send(self, topic: str, partition: int, value: dict[str, Any]) -> None:
        self._producer.produce(topic, json.dumps(value).encode(), partition=partition)
        self._producer.poll(0)


def miles_by_window(listings: Iterable[Message], reference: Reference) -> dict[int, list[int]]:
    """By window of the broker's time how many requests have their mileage in each bin."""
    bins = reference.numbers["mileage"]
    found: dict[int, list[int]] = {}
    for message in listings:
        record = parsed(message)
        if record.get("kind") != "request":
            continue
        window = found.setdefault(message.timestamp()[1] // WINDOW_MS * WINDOW_MS, [0] * len(bins.tally))
        miles = record["listing"].get("mileage")
        window[-1 if miles is None else bisect_left(bins.edges, float(miles))] += 1
    return {start: tally for start, tally in found.items() if sum(tally) >= AT_LEAST}


def published(metrics: Iterable[Message], kind: str, version: int) -> dict[tuple[int, str], dict[str, Any]]:
    """What is in ``metrics`` by window and feature; a window published twice must have the same content."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for message in metrics:
        record = parsed(message)
        if record.get("kind") == kind and record["model_version"] == version:
            start = int(np.datetime64(record["window_start"].removesuffix("Z"), "ms").astype(int))
            assert found.setdefault((start, record.get("feature", "")), record) == record
    return found


@pytest.fixture
def brokers(sandbox: Servers) -> str:
    topics.ensure_topics(sandbox.kafka_bootstrap_servers, Topics(partitions=PARTITIONS))
    return sandbox.kafka_bootstrap_servers


@pytest.fixture
def app(sandbox: Servers, brokers: str, tmp_path: Path) -> Iterator[Application]:
    settings = {"MONITORING_DRIFT_WINDOW": str(WINDOW_MS / 1000), "MONITORING_DRIFT_AT_LEAST": str(AT_LEAST)}
    app = Application(sandbox, tmp_path, **settings)
    yield app
    app.end()


@pytest.mark.timeout(900)  # two starts of Spark: a minute here, many on a busy machine
def test_every_window_is_held_against_what_its_version_was_trained_on(
    app: Application, sandbox: Servers, brokers: str, tmp_path: Path
) -> None:
    [part] = generate(700, 31, tmp_path / "listings", parts=1).parts
    with part.open(newline="") as file:
        listings = [row for row in csv.DictReader(file) if row["price"]]
    reference = reference_of(listings)
    version = register(sandbox, reference, tmp_path)
    world, metrics = World(brokers), Log(brokers, topics.METRICS, 1)
    asked = Log(brokers, topics.LISTINGS, PARTITIONS)
    asked.to_end()
    asked.records.clear()  # of other tests

    def all_published(records: list[Message]) -> bool:
        found = published(records, "drift", version)
        return all((start, "mileage") in found for start in miles_by_window(asked.records, reference))

    app.start()
    while "monitoring.drift_begins" not in app.log.read_text():
        assert app.process
        metrics.to_end()
    world.ask(version, listings)
    world.ask(OLD_VERSION, listings[:10])
    usual = miles_by_window(asked.to_end(), reference).keys()
    metrics.until(all_published, "drift of the usual cars")
    world.ask(version, drifting(listings * 2, 1.0))
    asked.to_end()
    metrics.until(all_published, "drift of other cars")

    app.kill()
    before = len(metrics.to_end())
    app.start()
    metrics.until(
        lambda records: published(records[before:], "estimate", version) != {}, "the last window again"
    )
    assert app.terminate() == 0

    tallies = miles_by_window(asked.records, reference)
    found = published(metrics.to_end(), "drift", version)
    moved = tallies.keys() - usual
    for start, tally in tallies.items():
        record = found[start, "mileage"]
        assert (record["count"], record["psi"]) == (
            sum(tally), pytest.approx(psi(reference.numbers["mileage"].tally, tally), abs=1e-6)
        )  # fmt: skip
    assert moved
    for start in moved:
        assert found[start, "mileage"]["psi"] > 0.25
        assert found[start, "make"]["psi"] > 0.25
    for start in usual:
        assert found[start, "mileage"]["psi"] < 0.25
    for record in published(metrics.records, "estimate", version).values():
        # Each erred by a tenth of its price, which is four tenths of the half width.
        assert record["mae"] == pytest.approx(0.4 * record["half_width"], rel=1e-6)
    assert published(metrics.records, "drift", OLD_VERSION) == {}
    first_run = app.log.read_text().split("monitoring.drift_begins")[1]
    assert first_run.count("monitoring.no_reference") <= 1
    metrics.close()
    asked.close()
