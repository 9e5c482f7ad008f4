"""A short campaign of kills of the monitoring application (``make chaos-monitoring`` has long ones)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox.sandbox import Sandbox
from control_plane.settings import Topics
from control_plane.topics import ensure_topics
from tests.chaos.monitoring.application import Application
from tests.chaos.monitoring.campaign import campaign
from tests.chaos.monitoring.plan import BOTH, JVM, Kill, Plan
from tests.chaos.monitoring.world import PARTITIONS

if TYPE_CHECKING:
    from pathlib import Path

KILLS = (
    Kill(BOTH, after_s=0.3, working=True, pause_s=0),
    Kill(BOTH, after_s=5.0, working=False, pause_s=0),
    Kill(JVM, after_s=0.8, working=True, pause_s=1.0),
)


@pytest.mark.timeout(900)  # four starts of Spark
def test_errors_are_those_that_are_recomputed_whenever_the_application_is_killed(
    java: Path, tmp_path: Path
) -> None:
    with Sandbox(tmp_path / "sandbox") as servers:  # the topics' whole content is judged: they are its own
        kafka = servers.kafka_bootstrap_servers
        ensure_topics(kafka, Topics(partitions=PARTITIONS))
        [run] = campaign(Application(servers, tmp_path), kafka, [Plan(1, 100, KILLS)])
    assert run.problems == []
    assert run.outcomes > 500
    assert run.windows > 4  # of two seconds: how many depends on how fast the machine is
