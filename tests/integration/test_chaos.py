"""A short campaign of faults on real servers (``make chaos`` has long ones), and that its judge is awake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.campaign import campaign
from tests.chaos.faults import FAULTS
from tests.chaos.model import fitted
from tests.chaos.plan import Injection, Plan
from tests.chaos.system import running

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
        assert len(run.hit) >= 1, "the fault met somebody"
    assert {injection.fault for plan in PLANS for injection in plan.injections} <= set(FAULTS)
