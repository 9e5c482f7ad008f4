"""What a standby does with its armed query, on stand-ins for the query and the ledger's follower."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from spark_apps.serving import standby
from spark_apps.serving.ledger import Resume
from spark_apps.serving.standby import Standby, StandbyError


@dataclass
class Armed:
    begins_at: dict[int, int]
    query: Any = field(default_factory=lambda: SimpleNamespace(isActive=True, exception=lambda: None))
    led: tuple[Any, int] | None = None
    disarmed: bool = False

    def lead(self, resume, epoch):
        self.led = resume, epoch
        return self.query

    def disarm(self):
        self.disarmed = True


@dataclass
class Query:
    spark: None = None
    armed: list[Armed] = field(default_factory=list)

    def arm(self, _source, _sink, begins_at):
        self.armed.append(Armed(dict(begins_at)))
        return self.armed[-1]


@pytest.fixture
def query(monkeypatch) -> Query:
    monkeypatch.setattr(standby, "await_tasks", lambda *_: True)
    monkeypatch.setattr(Standby, "_keep_close", lambda _: None)  # no thread outlives its test
    return Query()


def stand_by(query: Query, passed: dict[int, int], read: dict[int, int] | None = None) -> Standby:
    return Standby(query, SimpleNamespace(passed=passed, read=read or passed), failed=pytest.fail)


def test_a_standby_is_armed_where_all_is_answered_and_leads_with_that_query(query):
    it = stand_by(query, {0: 100, 1: 40})
    resume = {0: Resume(103, ((105, 106),)), 1: Resume(40)}
    assert it.lead(resume, epoch=3) is query.armed[0].query
    assert [(one.begins_at, one.led) for one in query.armed] == [({0: 100, 1: 40}, (resume, 3))]


def test_a_query_that_died_while_it_waited_is_replaced_by_a_new_one(query):
    it = stand_by(query, {0: 7})
    query.armed[0].query.isActive = False
    assert it.lead({0: Resume(8)}, epoch=1) is query.armed[1].query
    assert query.armed[0].disarmed


def test_a_query_that_begins_beyond_the_first_unanswered_request_is_refused(query):
    it = stand_by(query, {0: 7})
    with pytest.raises(StandbyError, match="beyond the first unanswered"):
        it.lead({0: Resume(6)}, epoch=1)


def test_a_query_that_does_not_start_is_an_error(query, monkeypatch):
    monkeypatch.setattr(standby, "await_tasks", lambda *_: False)
    with pytest.raises(StandbyError, match="did not start"):
        stand_by(query, {0: 7})


@pytest.mark.parametrize(("behind", "stale"), [(20_000, False), (20_001, True)])
def test_a_query_far_behind_the_leader_is_stale(query, behind, stale):
    assert stand_by(query, {0: 7}, read={0: 7 + behind})._is_stale() is stale


def test_a_query_that_has_waited_for_long_is_stale_since_its_batch_would_end_at_once(query, monkeypatch):
    it = stand_by(query, {0: 7})
    monkeypatch.setattr(standby, "time", SimpleNamespace(monotonic=lambda: it._since + 3601))
    assert it._is_stale()
