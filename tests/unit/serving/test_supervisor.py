"""What the supervisor makes of what its servers say and do; here they are programs that only wait."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from control_plane.events import ServerAnnouncement
from spark_apps.serving import supervisor
from spark_apps.serving.pulse import Pulse
from spark_apps.serving.rollover import Start
from spark_apps.serving.settings import Serving
from spark_apps.serving.supervisor import Fleet
from tests.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

HUNG_AFTER_S = 30


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(supervisor, "Pulse", partial(Pulse, clock=clock))
    return clock


@pytest.fixture
def fleet(tmp_path, clock) -> Iterator[Fleet]:
    announcements = SimpleNamespace(bury=lambda _: None, flush=lambda: None)
    settings = Serving(
        scratch=tmp_path / "scratch", heartbeat=tmp_path / "heartbeat", hung_after_s=HUNG_AFTER_S
    )
    with closing(Fleet(announcements, settings, tmp_path / "serving", ("sleep", "60"))) as fleet:
        fleet.take(Start(version=1))
        fleet.reap()
        yield fleet


def says(fleet: Fleet, role: str) -> None:
    [server] = fleet.servers
    fleet.hear(
        ServerAnnouncement(
            server=server.name, role=role, model_version=1, since=datetime(2026, 1, 1, tzinfo=UTC)
        )
    )


def is_ended(fleet: Fleet) -> bool:
    """Whether it was killed at this look: the next one finds it gone."""
    fleet.reap()
    fleet.reap()
    return not fleet.servers


def test_a_server_that_took_long_to_start_has_not_been_silent(fleet, clock):
    clock.now += HUNG_AFTER_S + 5
    says(fleet, "standby")  # and its first sign of life comes a moment later
    assert not is_ended(fleet)


def test_one_that_is_silent_after_it_stood_by_is_ended(fleet, clock):
    says(fleet, "standby")
    clock.now += HUNG_AFTER_S - 5
    says(fleet, "active")  # what it says is no sign of life: another thread's word
    assert not is_ended(fleet)
    clock.now += 10
    assert is_ended(fleet)
