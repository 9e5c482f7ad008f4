"""The servers that the environment names: whether they answer, and what they say of themselves.

Kafka's protocol has no question for the broker's version, so none is told.
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING

import requests
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from control_plane import reachable, topic_facts
from control_plane.audit import LogUnavailableError
from control_plane.doctor import topics
from control_plane.doctor.findings import Finding, ok, problem, warning
from control_plane.topics import wanted

if TYPE_CHECKING:
    from control_plane.settings import Topics

TIMEOUT_S = 5.0
NAMES = ("KAFKA_BOOTSTRAP_SERVERS", "MLFLOW_TRACKING_URI", "HDFS_URL")

_NAMENODE = "Hadoop:service=NameNode,name=NameNodeInfo"


def kafka(bootstrap_servers: str, demanded: Topics) -> list[Finding]:
    """Return whether the brokers answer, and whether the topics are as they must be."""
    away = f"{bootstrap_servers} does not answer"
    remedy = "start Kafka, or set KAFKA_BOOTSTRAP_SERVERS to what `pipelines up` printed"
    if complaint := reachable.complaint(bootstrap_servers, timeout_s=TIMEOUT_S):
        return [problem("kafka", f"{away} ({complaint})", remedy)]
    try:
        admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        cluster = admin.describe_cluster(request_timeout=TIMEOUT_S).result(TIMEOUT_S)
        names = [topic.name for topic in wanted(demanded)]
        facts = topic_facts.read(bootstrap_servers, names, TIMEOUT_S)
    except (KafkaException, LogUnavailableError, TimeoutError):
        return [problem("kafka", f"{away} as a broker in {TIMEOUT_S:.0f} s", remedy)]
    brokers = f"{len(cluster.nodes)} broker{'s' * (len(cluster.nodes) != 1)}"
    found = ok("kafka", f"{bootstrap_servers}, {brokers}, cluster {cluster.cluster_id}")
    return [found, *topics.judged(facts, demanded)]


def mlflow(tracking_uri: str) -> list[Finding]:
    """Return whether MLflow answers, and whether its version goes with the client's."""
    remedy = "start MLflow, or set MLFLOW_TRACKING_URI to what `pipelines up` printed"
    try:
        answer = requests.get(f"{tracking_uri}/version", timeout=TIMEOUT_S)
    except requests.RequestException as error:
        return [problem("mlflow", f"{tracking_uri} does not answer ({reachable.plainly(error)})", remedy)]
    if not answer.ok:
        return [problem("mlflow", f"{tracking_uri} answers {answer.status_code}", remedy)]
    server, client = answer.text.strip(), importlib.metadata.version("mlflow")
    if server.split(".")[:2] != client.split(".")[:2]:
        return [
            warning("mlflow", f"{tracking_uri} is {server[:20]}, the client {client}", "bring both to one")
        ]
    return [ok("mlflow", f"{tracking_uri}, version {server}")]


def hdfs(url: str) -> list[Finding]:
    """Return whether WebHDFS answers, and whether the file system takes writes."""
    remedy = "start HDFS, or set HDFS_URL to what `pipelines up` printed"
    try:
        answer = requests.get(f"{url}/webhdfs/v1/?op=LISTSTATUS", timeout=TIMEOUT_S)
        if not answer.ok:
            return [problem("hdfs", f"{url} answers {answer.status_code} to WebHDFS", remedy)]
        beans = requests.get(f"{url}/jmx", params={"qry": _NAMENODE}, timeout=TIMEOUT_S).json()["beans"]
    except (KeyError, requests.JSONDecodeError):  # a gateway, which has WebHDFS and nothing else
        return [ok("hdfs", f"{url}, which does not tell its version")]
    except requests.RequestException as error:
        return [problem("hdfs", f"{url} does not answer ({reachable.plainly(error)})", remedy)]
    return [_name_node(url, beans[0]) if beans else ok("hdfs", f"{url}, which does not tell its version")]


def _name_node(url: str, told: dict[str, str]) -> Finding:
    version = str(told.get("Version", "unknown")).partition(",")[0]
    if told.get("Safemode"):
        return warning("hdfs", f"{url} is in safe mode", "wait until it has found its blocks")
    nodes = len(json.loads(told.get("LiveNodes", "{}")))
    if not nodes:
        return problem("hdfs", f"{url} has no DataNode", "start one: nothing can be written")
    return ok("hdfs", f"{url}, version {version}, {nodes} DataNode{'s' * (nodes != 1)}")
