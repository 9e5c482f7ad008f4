"""The whole story on a real cluster, from an empty namespace, and what must not break it.

Run by ``make test-cluster``. It needs a cluster that has the images of ``k8s/images/build``, no namespace
``pipelines``, and volumes: a default StorageClass, or CAR_PRICE_VOLUMES, a folder of the (single) node in
which the test makes them. CAR_PRICE_API_SERVER_PID names the API server's process where it may be paused.

The requests of one client go through all of it. What became of them is looked at once, at the end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.story import Diary, tell, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster_story, pytest.mark.timeout(1800)]

K8S = Path(__file__).parents[2] / "k8s"
NAMESPACE = "pipelines"
RATE = 50
ROWS = 2_500
API_SERVER_AWAY_S = 20
DATA_NODE_UID = 10001

BREAK_A_MODEL = """
import requests
api = "http://mlflow:5000/api/2.0/mlflow/"
found = requests.get(api + "model-versions/search", {"filter": "name='used-car-price'"}, timeout=30).json()
last = found["model_versions"][0]
tags = [{"key": "pipelines.digest", "value": "of other files"}]
body = {key: last[key] for key in ("name", "source", "run_id")}
body |= {"model_id": last["source"].removeprefix("models:/"), "tags": tags}
answer = requests.post(api + "model-versions/create", json=body, timeout=30)
assert answer.ok, answer.text
"""
COUNT_PRICES = """
import json, sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": "kafka:9092", "group.id": "story", "enable.auto.commit": False})
end = consumer.get_watermark_offsets(TopicPartition("metrics", 0), timeout=30)[1]
consumer.assign([TopicPartition("metrics", 0, 0)])
windows = {}
while end and consumer.position([TopicPartition("metrics", 0)])[0].offset < end:
    message = consumer.poll(10)
    found = json.loads(message.value())
    if found.get("kind") == "error" and found["model"] == "stack":
        windows[message.key()] = found["count"]
print(sum(windows.values()))
"""


class Cluster:
    """kubectl, in the namespace."""

    def __init__(self, kubectl: str) -> None:
        self.kubectl = kubectl

    def run(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it prints."""
        command = [self.kubectl, "-n", NAMESPACE, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    def inside(self, *command: str) -> str | None:
        """Run a command in the control plane's container; None while that is not there."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            return self.run("exec", "deploy/control-plane", "--", *command)
        return None

    def status(self) -> dict[str, Any]:
        """Return what ``pipelines status --json`` says, empty while it cannot be asked."""
        return json.loads(self.inside("pipelines", "status", "--json") or "{}")

    def batch(self, name: str) -> str | None:
        """Return the status of a batch."""
        found = {one["batch"]: one["status"] for one in self.status().get("batches", [])}
        return found.get(name)

    def model(self, version: int) -> str | None:
        """Return the status of a model version."""
        found = {one["model_version"]: one["status"] for one in self.status().get("models", [])}
        return found.get(version)

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Return the pods of a workload."""
        found = self.run("get", "pods", "-l", f"app.kubernetes.io/name={name}", "-o", "json")
        return list(json.loads(found)["items"])

    def leader(self) -> str:
        """Return the pod of the server that holds the Lease."""
        holder = self.run("get", "lease", "serving", "-o", "jsonpath={.spec.holderIdentity}")
        return holder.partition("_")[0]

    def simulate(self, pod: str, *arguments: str) -> None:
        """Start a pod that plays a part of the outside world."""
        settings = self.run("get", "deploy", "control-plane", "-o", "json")
        container = json.loads(settings)["spec"]["template"]["spec"]["containers"][0]
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "labels": {"app.kubernetes.io/name": "simulator"}},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "simulator",
                        "image": container["image"],
                        "args": ["pipelines", "simulate", *arguments],
                        "envFrom": container["envFrom"],
                        "securityContext": container["securityContext"],
                        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
                    }
                ],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            },
        }
        self.run("apply", "-f", "-", given=json.dumps(manifest))


@contextmanager
def peak_memory(diary: Diary) -> Iterator[None]:
    """Measure how much more of this machine's memory is taken at most: the node's, where they are one."""
    before, stopped = psutil.virtual_memory().available, threading.Event()

    def look() -> None:
        while not stopped.wait(2):
            taken = (before - psutil.virtual_memory().available) / 1024**3
            diary.figures["GiB at most"] = max(taken, diary.figures.get("GiB at most", 0))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield
    stopped.set()
    thread.join()


@pytest.fixture(scope="module")
def volumes(cluster: Any) -> Iterator[None]:
    """Make volumes where the cluster does not make them by itself."""
    default = "storageclass.kubernetes.io/is-default-class"
    classes = cluster.StorageV1Api().list_storage_class().items
    if any((one.metadata.annotations or {}).get(default) == "true" for one in classes):
        yield
        return
    if not (folder := os.environ.get("CAR_PRICE_VOLUMES")):
        pytest.skip("the cluster makes no volumes by itself, and CAR_PRICE_VOLUMES names no folder for them")
    core = cluster.CoreV1Api()
    names = [f"car-price-{number}" for number in range(5)]
    for name in names:
        path = Path(folder) / name
        path.mkdir(parents=True)
        os.chown(path, DATA_NODE_UID, DATA_NODE_UID)
        spec = {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(path)},
        }
        core.create_persistent_volume({"metadata": {"name": name}, "spec": spec})
    yield
    for name in names:
        core.delete_persistent_volume(name)


@pytest.fixture(scope="module")
def system(cluster: Any, kubectl: str, volumes: None) -> Iterator[tuple[Cluster, Diary]]:
    """Everything, applied to an empty namespace and ready."""
    core = cluster.CoreV1Api()
    if NAMESPACE in {found.metadata.name for found in core.list_namespace().items}:
        pytest.skip(f"the cluster has a namespace {NAMESPACE} already, and this test is not to touch it")
    here, diary = Cluster(kubectl), Diary()
    with peak_memory(diary):
        begun = time.monotonic()
        try:
            here.run("apply", "-k", str(K8S / "overlays" / "local"))
            for workload in ("sts/kafka", "sts/hdfs-namenode", "sts/hdfs-datanode", "sts/mlflow"):
                here.run("rollout", "status", workload, "--timeout=280s")
            for workload in ("deploy/control-plane", "deploy/serving", "sts/monitoring"):
                here.run("rollout", "status", workload, "--timeout=280s")
            diary.figures["seconds to Ready"] = time.monotonic() - begun
            yield here, diary
        finally:
            here.run("delete", "namespace", NAMESPACE, "--timeout=240s", check=False)


def test_the_whole_story_and_no_request_is_lost(system):  # noqa: PLR0915 - a story
    here, diary = system

    tell("the first batch; its training loses an executor")
    here.simulate("batch-1", "batch", "batch-001", f"--rows={ROWS}", "--seed=7")
    until("an executor", lambda: here.pods("executor"))
    time.sleep(15)  # in the middle of its work, wherever that is
    here.run("delete", "pod", "-l", "app.kubernetes.io/name=executor", "--force", "--grace-period=0")
    until("the first model", lambda: here.model(1) == "serving")
    assert here.batch("batch-001") == "trained"

    here.simulate("traffic", "traffic", f"--rate={RATE}", "--price-delay=5")
    until("answers", lambda: "traffic" in here.run("logs", "traffic", check=False))
    diary.note("nothing")
    time.sleep(20)

    diary.note("training of the second batch, control plane deleted within it")
    here.simulate("batch-2", "batch", "batch-002", f"--rows={ROWS}", "--seed=8")
    until("the second training", lambda: here.batch("batch-002") == "training")
    here.run("delete", "pod", "-l", "app.kubernetes.io/name=control-plane", "--wait=false")
    until("the second rollout", lambda: here.model(2) == "starting")

    diary.note("rollout of version 2, control plane deleted within it")
    here.run("delete", "pod", "-l", "app.kubernetes.io/name=control-plane", "--wait=false")
    until("the second model", lambda: here.model(2) == "serving")

    diary.note("everything applied again")
    here.run("apply", "-k", str(K8S / "overlays" / "local"))
    assert pinned(here) == "2", "what the control plane has written stays"

    diary.note("active server deleted")
    until_two_are_ready(here)
    here.run("delete", "pod", here.leader(), "--wait=false")
    until_two_are_ready(here)

    diary.note("active server deleted by force")
    here.run("delete", "pod", here.leader(), "--force", "--grace-period=0")
    until_two_are_ready(here)

    diary.note("rollout restart by hand")
    here.run("rollout", "restart", "deployment/serving")
    here.run("rollout", "status", "deployment/serving", "--timeout=280s")

    diary.note("a model that crashes at loading")
    here.run("exec", "deploy/control-plane", "--", "python", "-c", BREAK_A_MODEL)
    until("the failure", lambda: here.model(3) == "failed")
    until_two_are_ready(here)
    assert pinned(here) == "2"
    assert here.model(2) == "serving"

    if process := os.environ.get("CAR_PRICE_API_SERVER_PID"):
        diary.note(f"API server away for {API_SERVER_AWAY_S} s")
        with paused(int(process)):
            time.sleep(API_SERVER_AWAY_S)
        time.sleep(10)  # until the kubelet has told what became of the server that led
        until("the API server", lambda: here.run("get", "lease", "serving", check=False))
        until_two_are_ready(here)

    diary.note("Kafka restarted")
    here.run("delete", "pod", "kafka-0")
    here.run("rollout", "status", "sts/kafka", "--timeout=280s")
    until_two_are_ready(here)
    diary.note("nothing more")
    time.sleep(15)

    report = end_of_traffic(here)
    diary.figures |= reaction_times(here)
    diary.show(report)
    assert report["lost"] == 0
    assert report["undelivered"] == 0
    assert report["answered"] == report["sent"]
    assert report["repeated"] == 0
    assert set(report["versions"]) == {"1", "2"}
    until("every price in a window", lambda: prices_counted(here) == report["prices"], 240)
    statuses = here.status()
    assert {one["status"] for one in statuses["batches"]} == {"trained"}
    assert {one["model_version"]: one["status"] for one in statuses["models"]} == {
        1: "replaced",
        2: "serving",
        3: "failed",
    }


def pinned(here: Cluster) -> str:
    path = '{.spec.template.spec.containers[0].env[?(@.name=="MODEL_VERSION")].value}'
    return here.run("get", "deploy", "serving", "-o", f"jsonpath={path}")


def until_two_are_ready(here: Cluster) -> None:
    def ready() -> bool:
        found = here.run("get", "deploy", "serving", "-o", "json", check=False)
        status = json.loads(found)["status"] if found else {}
        return (
            status.get("readyReplicas") == 2
            and status.get("replicas") == 2
            and not status.get("unavailableReplicas")
        )

    time.sleep(3)  # until what was just done shows
    until("two ready servers", ready)


@contextmanager
def paused(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def end_of_traffic(here: Cluster) -> dict[str, Any]:
    here.run("exec", "traffic", "--", "sh", "-c", "kill -TERM 1")
    until(
        "the end of the traffic",
        lambda: (
            here.run("get", "pod", "traffic", "-o", "jsonpath={.status.phase}") in {"Succeeded", "Failed"}
        ),
    )
    lines = here.run("logs", "traffic").splitlines()
    return next(found for line in lines if line.startswith("{") and "answered" in (found := json.loads(line)))


def reaction_times(here: Cluster) -> dict[str, float]:
    """Return how long the control plane took at most from an event to what follows from it, s."""
    log = [json.loads(line) for line in (here.inside("pipelines", "audit", "--json") or "").splitlines()]
    at = {one["id"]: datetime.fromisoformat(one["time"]) for one in log}
    batches = [one["subject"] for one in log if one["type"] == "batch.arrived"]
    models = [one["subject"] for one in log if one["type"] == "model.registered"]
    steps = {
        "batch.arrived to training.started": [
            (f"batch.arrived/{name}", f"training.started/{name}/1") for name in batches
        ],
        "model.registered to rollout.started": [
            (f"model.registered/{name}", f"rollout.started/{name}/{name}") for name in models
        ],
    }
    return {
        f"seconds at most from {step}": max((at[end] - at[begin]).total_seconds() for begin, end in pairs)
        for step, pairs in steps.items()
    }


def prices_counted(here: Cluster) -> int:
    return int(here.inside("python", "-c", COUNT_PRICES) or -1)
