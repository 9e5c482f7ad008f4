"""A short campaign of faults on real servers (``make chaos`` has long ones), and a rollback under load."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from control_plane import audit, records
from control_plane.events import ModelRegistered
from control_plane.sandbox.processes import ManagedProcess
from tests.chaos.campaign import campaign
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.model import fitted
from tests.chaos.plan import Injection, Plan
from tests.chaos.system import running, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.system import System

PLANS = [
    Plan(1, 100, 8, (Injection(2.0, "network: stalls, active: SIGKILL", 0.5),)),
    Plan(2, 100, 8, (Injection(1.0, "listings: garbage", 4.0), Injection(3.0, "broker: SIGKILL", 0.5))),
    Plan(3, 100, 8, (Injection(2.0, "active: hangs", 15.0),)),
]


@pytest.fixture(scope="module")
def system(spark, tmp_path_factory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("chaos"), fitted(spark)) as system:
        yield system


@pytest.mark.timeout(600)
def test_each_request_has_exactly_one_answer_in_order_whatever_happens(system):
    runs = list(campaign(system, PLANS))
    assert [run.verdict.problems for run in runs] == [[]] * len(PLANS)
    for run in runs:
        assert run.verdict.requests > 500
        assert run.hit, "the fault met somebody"


@contextmanager
def rolled_back(system: System, _: object) -> Iterator[None]:
    pipelines(system, "rollback")
    system.wants = system.versions[0]
    yield
    until(system.answers_by_the_wanted, "the version before")


@pytest.mark.timeout(600)
def test_a_rollback_brings_the_version_before_back_within_one_hand_over(system, monkeypatch):
    monkeypatch.setitem(FAULTS, "pipelines rollback", Fault(rolled_back))
    before, after = system.versions
    with deciding(system):
        for version in (before, after):
            registered = ModelRegistered(version=version, model="-", run_id="-", batches=[])
            audit.publish(system.kafka, registered, source="/tests")
        system.wants = after
        [run] = campaign(system, [Plan(4, 100, 6, (Injection(1.0, "pipelines rollback", 0.0),))])
    assert run.verdict.problems == []
    for part in run.parts:
        answers = [records.answer(record.value) for record in part.predictions]
        led = [key for key, _ in groupby((one.model_version, one.epoch) for one in answers)]
        (version, epoch), *others = led
        assert (version, others) == (after, [(before, epoch + 1)]), "one hand-over, and nothing in between"


def pipelines(system: System, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "control_plane.cli", *arguments], env=system.environment, check=True
    )


@contextmanager
def deciding(system: System) -> Iterator[None]:
    process = ManagedProcess(
        "control-plane",
        [sys.executable, "-m", "control_plane.cli", "control-plane"],
        log_file=system.home / "logs" / "control-plane.log",
        env=system.environment,
    )
    process.start()
    try:
        yield
    finally:
        process.stop()
