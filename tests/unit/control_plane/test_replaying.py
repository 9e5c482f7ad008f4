from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from control_plane.replay_view import chosen
from control_plane.replaying import Chosen, ReplayError, renamed, suffix, within
from control_plane.topic_ranges import Range

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HELD = [Range("listings", 0, 10, 100), Range("listings", 1, 0, 50)]
ONLY_SINCE = {"first": None, "end": None, "until": None}


def test_a_replayed_request_has_a_new_id_and_is_otherwise_the_same_text():
    value = b'{"kind": "request", "request_id": "r-1", "listing": {"year": 2017.0, "mileage": 1e3}}'
    new, written = renamed(value, "/replay-x")
    assert new == "r-1/replay-x"
    assert json.loads(written) == json.loads(value) | {"request_id": new}
    assert b"2017.0" in written
    assert b"1e3" in written


@given(
    st.text(min_size=1).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)),
    st.dictionaries(st.text(), st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)),
)
def test_any_request_is_renamed(old, listing):
    value = json.dumps({"kind": "request", "request_id": old, "listing": listing}).encode()
    new, written = renamed(value, "/again")
    assert new == f"{old}/again"
    assert json.loads(written) == {"kind": "request", "request_id": new, "listing": listing}


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not JSON",
        b"[1]",
        b"null",
        b'{"kind": "request"}',
        b'{"kind": "request", "request_id": ""}',
        b'{"kind": "request", "request_id": 5}',
        b'{"kind": "tick", "request_id": "r-1"}',
        b'{"kind": "price", "request_id": "r-1", "price": "much"}',
        b"\xff\xfe",
        b'{"kind": "request", "request_id": "r-1", "listing": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_has_no_usable_id_is_passed_over_or_renamed_but_never_breaks(value):
    found = renamed(value, "/again")
    assert found is None or found[0] == "r-1/again"


def test_the_suffix_is_the_moment_in_utc():
    moment = datetime(2026, 1, 31, 13, 0, 0, 250_999, tzinfo=timezone(timedelta(hours=1)))
    assert suffix(moment) == "/replay-20260131T120000.250Z"


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Chosen(), [(0, 10, 100), (1, 0, 50)]),
        (Chosen(partition=1), [(1, 0, 50)]),
        (Chosen(partition=0, first=0, end=20), [(0, 10, 20)]),
        (Chosen(partition=0, first=90, end=500), [(0, 90, 100)]),
        (Chosen(partition=0, first=100), []),
        (Chosen(first=NOON), [(0, 10, 100), (1, 0, 50)]),
    ],
)
def test_offsets_choose_within_what_is_held(which, expected):
    assert [(one.partition, one.first, one.end) for one in within(HELD, which)] == expected


def test_a_partition_that_is_not_there_is_said_with_how_many_are():
    with pytest.raises(ReplayError, match="listings has no partition 7; there are 2, from 0"):
        within(HELD, Chosen(partition=7))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "say where to begin"),
        ({"end": 10, "partition": 0}, "say where to begin"),
        ({"first": 1}, "give --partition as well"),
        ({"first": 1, "partition": 0, "since": "2026-01-31T12:00:00Z"}, "not both"),
        ({"since": "yesterday"}, "--since yesterday is no time like"),
    ],
)
def test_what_is_no_choice_is_refused(options, sentence):
    given = {"partition": None, "since": None} | ONLY_SINCE | options
    partition = given.pop("partition")
    with pytest.raises(typer.BadParameter, match=sentence):
        chosen(partition, **given)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31 12:00", "2026-01-31T13:00:00+01:00"])
def test_a_time_without_a_zone_is_utc(text):
    assert chosen(None, since=text, **ONLY_SINCE).first == NOON
