"""What the supervisor does: which version is wanted, which servers start and stop, and in which order."""

from __future__ import annotations

from functools import reduce

import pytest

from control_plane.events import ModelRegistered, RolloutFailed, RolloutStarted, RolloutSucceeded
from spark_apps.serving.rollover import Role, Server, Start, Stop, Wanted, next_steps


def started(version: int, replaces: int | None = None, rollout: int = 1) -> RolloutStarted:
    return RolloutStarted(version=version, rollout=rollout, replaces=replaces)


def succeeded(version: int, rollout: int = 1) -> RolloutSucceeded:
    return RolloutSucceeded(version=version, rollout=rollout, seconds=1)


def failed(version: int, rollout: int = 1) -> RolloutFailed:
    return RolloutFailed(version=version, rollout=rollout, reason="no server came up")


REGISTERED = ModelRegistered(version=9, model="used-car-price", run_id="r", batches=["b"])


@pytest.mark.parametrize(
    ("events", "version"),
    [
        ([], None),
        ([REGISTERED], None),
        ([started(1)], 1),
        ([started(1), succeeded(1), started(2, 1)], 2),
        ([started(1), succeeded(1), started(2, 1), failed(2)], 1),
        ([started(1), succeeded(1), started(2, 1), succeeded(2), started(1, 2)], 1),
        ([started(1), failed(1)], None),
        ([started(1), succeeded(1), started(2, 1), started(3, 1), failed(2)], 3),
    ],
)
def test_the_version_wanted_is_what_the_control_log_says(events, version):
    assert reduce(Wanted.after, events, Wanted()).version == version


def server(name: str, version: int | None, role: Role = "starting") -> Server:
    return Server(name, version, role)


@pytest.mark.parametrize(
    ("servers", "actions"),
    [
        ([], [Start(1)]),
        ([server("a", 1)], []),
        ([server("a", 1, "standby")], []),
        ([server("a", 1, "active")], [Start(1)]),
        ([server("a", 1, "active"), server("b", 1)], []),
        ([server("a", 1, "active"), server("b", 1, "standby")], []),
        ([server("a", 1, "stopping"), server("b", 1, "standby")], []),
    ],
)
def test_one_server_leads_and_one_waits_and_they_start_one_after_the_other(servers, actions):
    assert next_steps(Wanted(1), servers, 1) == actions


OLD = [server("a", 1, "active"), server("b", 1, "standby")]


@pytest.mark.parametrize(
    ("servers", "actions"),
    [
        (OLD, [Start(2)]),
        ([*OLD, server("c", 2)], []),
        ([*OLD, server("c", 2, "standby")], [Stop("b")]),
        ([OLD[0], server("b", 1, "stopping"), server("c", 2, "standby")], []),
        ([OLD[0], server("c", 2, "standby")], [Stop("a")]),
        ([server("a", 1, "stopping"), server("c", 2, "standby")], []),
        ([server("c", 2, "active")], [Start(2)]),
    ],
)
def test_a_new_version_is_warm_before_the_old_goes_and_the_old_standby_goes_first(servers, actions):
    assert next_steps(Wanted(2, 1), servers, 1) == actions


def test_an_old_standby_may_take_over_as_long_as_the_new_version_is_not_up():
    assert next_steps(Wanted(2, 1), [server("b", 1, "active"), server("c", 2)], 1) == []


def test_a_failed_version_goes_at_once_when_the_one_before_still_answers():
    servers = [*OLD, server("c", 2), server("d", 2, "standby")]
    assert next_steps(Wanted(1), servers, 1) == [Stop("c"), Stop("d")]


def test_before_the_first_rollout_one_server_waits_and_becomes_the_first_of_its_version():
    assert next_steps(Wanted(), [], 1) == [Start(None)]
    assert next_steps(Wanted(), [server("a", None)], 1) == []
    assert next_steps(Wanted(1), [server("a", None)], 1) == []
    assert next_steps(Wanted(1), [server("a", 1, "active")], 1) == [Start(1)]


def test_every_rollout_ends_with_the_new_version_alone_and_a_leader_at_every_step():
    servers = list(OLD)
    names = iter("cdefgh")
    for _ in range(20):
        for action in next_steps(Wanted(2, 1), servers, 1):
            if isinstance(action, Start):
                servers.append(server(next(names), action.version))
            else:
                servers = [one for one in servers if one.name != action.name]
        servers = [
            server(one.name, one.version, "standby" if one.role == "starting" else one.role)
            for one in servers
        ]
        if not any(one.role == "active" for one in servers):  # the lock passes to any that waits
            heir = next(one for one in servers if one.role == "standby")
            assert heir.version == 2
            servers = [server(one.name, one.version, "active") if one is heir else one for one in servers]
    assert [(one.version, one.role) for one in servers] == [(2, "active"), (2, "standby")]
