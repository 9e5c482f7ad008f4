from __future__ import annotations

from datetime import timedelta

import pytest

from control_plane.events import EventError, ServerAnnouncement
from control_plane.exporter.serving import ServingServers
from tests.unit.control_plane.stories import NOON
from tests.unit.exporter.exposition import series

NOW = NOON.timestamp()


def servers(*said: ServerAnnouncement) -> ServingServers:
    known = ServingServers()
    for one in said:
        known.take(one.key, one.encode())
    return known


def server(name: str, role: str, version: int | None = 7, epoch: int | None = None, second: int = 0):
    since = NOON + timedelta(seconds=second)
    return ServerAnnouncement(server=name, role=role, model_version=version, epoch=epoch, since=since)


def test_the_leader_is_told_with_its_version_epoch_and_hand_over():
    known = servers(server("a", "active", 7, 4, second=9), server("b", "standby"), server("c", "starting", 8))
    assert series(known.collect()) == {
        'serving_servers{role="active"}': 1,
        'serving_servers{role="standby"}': 1,
        'serving_servers{role="starting"}': 1,
        "serving_model_version": 7,
        "serving_epoch": 4,
        'serving_last_hand_over_timestamp_seconds{model_version="7"}': NOW + 9,
    }


def test_of_a_killed_leader_and_its_successor_only_the_successor_is_active():
    known = servers(server("killed", "active", 7, 4), server("leads", "active", 8, 5, second=1))
    found = series(known.collect())
    assert (found['serving_servers{role="active"}'], found["serving_epoch"]) == (1, 5)
    assert [name for name in found if "hand_over" in name] == [
        'serving_last_hand_over_timestamp_seconds{model_version="8"}'
    ]


def test_without_servers_each_role_is_at_nought():
    known = servers(server("a", "active", 7, 4))
    known.take(b"a", None)
    assert series(known.collect()) == {
        f'serving_servers{{role="{role}"}}': 0 for role in ("active", "standby", "starting")
    }


def test_what_is_no_announcement_is_refused():
    with pytest.raises(EventError):
        ServingServers().take(b"a", b"{}")
