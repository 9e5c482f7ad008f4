from __future__ import annotations

import pytest

from control_plane.doctor import servers
from control_plane.settings import Topics
from control_plane.topics import ensure_topics
from spark_apps.serving import preconditions


def test_the_servers_of_the_sandbox_and_its_topics_are_as_they_must_be(sandbox):
    ensure_topics(sandbox.kafka_bootstrap_servers, Topics())
    found = [
        *servers.kafka(sandbox.kafka_bootstrap_servers, Topics()),
        *servers.mlflow(sandbox.mlflow_tracking_uri),
        *servers.hdfs(sandbox.hdfs_url),
    ]
    assert [(finding.check, finding.level) for finding in found] == [
        (check, "ok") for check in ("kafka", "topics", "mlflow", "hdfs")
    ], [finding.line() for finding in found]
    assert "1 broker, cluster" in found[0].found
    assert "version 3.5.0, 1 DataNode" in found[3].found


def test_a_server_of_another_kind_is_no_broker_and_no_webhdfs(sandbox):
    somebody_else = sandbox.mlflow_tracking_uri.removeprefix("http://")
    (kafka,) = servers.kafka(somebody_else, Topics())
    (hdfs,) = servers.hdfs(sandbox.mlflow_tracking_uri)
    assert (kafka.level, hdfs.level) == ("problem", "problem")


def test_serving_finds_the_same_topics_as_it_needs_them(sandbox):
    ensure_topics(sandbox.kafka_bootstrap_servers, Topics())
    assert preconditions.check(sandbox.kafka_bootstrap_servers, Topics()) == Topics().partitions
    with pytest.raises(
        preconditions.PreconditionError, match="predictions has 1 replicas and TOPICS_REPLICATION"
    ):
        preconditions.check(sandbox.kafka_bootstrap_servers, Topics(replication=3))
