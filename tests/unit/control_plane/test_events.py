from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from control_plane import events
from control_plane.failures import Finding, RefusedProfile

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

BATCHES = st.text(min_size=1).filter(lambda text: text.isprintable())
NUMBERS = st.integers(1, 10_000)
SECONDS = st.floats(0, 1e6)
TIMES = st.integers(0, 2**33).map(lambda seconds: datetime.fromtimestamp(seconds + 0.25, UTC))
SHARES = st.dictionaries(st.text(), st.floats(0, 1))
PROFILES = st.builds(
    RefusedProfile,
    run_id=st.none() | st.text(),
    rows=NUMBERS,
    findings=st.lists(
        st.builds(Finding, what=st.text(), was=st.none() | SECONDS, now=SECONDS, bound=SECONDS)
    ),
    dropped=SHARES,
    missing=SHARES,
    medians=SHARES,
)
ANY_EVENT = st.one_of(
    st.builds(events.BatchArrived, batch=BATCHES, path=st.text(), files=NUMBERS, bytes=NUMBERS),
    st.builds(events.TrainingRequested, batch=BATCHES, requested_at=TIMES, accept_profile=st.booleans()),
    st.builds(
        events.TrainingStarted,
        batch=BATCHES,
        attempt=NUMBERS,
        first_attempt=NUMBERS,
        accept_profile=st.booleans(),
    ),
    st.builds(
        events.TrainingSucceeded,
        batch=BATCHES,
        attempt=NUMBERS,
        run_id=st.text(),
        version=NUMBERS,
        seconds=SECONDS,
    ),
    st.builds(
        events.TrainingFailed,
        batch=BATCHES,
        attempt=NUMBERS,
        reason=st.text(),
        final=st.booleans(),
        seconds=st.none() | SECONDS,
        profile=st.none() | PROFILES,
    ),
    st.builds(
        events.ModelRegistered,
        version=NUMBERS,
        model=st.text(),
        run_id=st.text(),
        batches=st.lists(st.text()),
    ),
    st.builds(events.RolloutStarted, version=NUMBERS, rollout=NUMBERS, replaces=st.none() | NUMBERS),
    st.builds(events.RolloutSucceeded, version=NUMBERS, rollout=NUMBERS, seconds=SECONDS),
    st.builds(events.RolloutFailed, version=NUMBERS, rollout=NUMBERS, reason=st.text()),
    st.builds(events.RollbackRequested, version=NUMBERS, requested_at=TIMES),
    st.builds(events.ShadowRequested, version=NUMBERS, requested_at=TIMES),
    st.builds(events.ShadowStopped, version=NUMBERS, requested_at=TIMES),
)


@given(ANY_EVENT, TIMES)
def test_what_is_written_is_read_again(event, time):
    key, value = events.encode(event, source="/tests", time=time)

    read = events.decode(value)

    assert read.event == event
    assert (read.id, read.source) == (event.id, "/tests")
    assert abs(read.time - time) < timedelta(milliseconds=1)
    assert key.decode() == event.subject


@given(ANY_EVENT)
def test_the_sdk_of_cloudevents_reads_every_event(event):
    key, value = events.encode(event, source="/tests", time=NOON)
    headers = {name: bytes(value) for name, value in events.HEADERS.items()}

    read = from_structured(KafkaMessage(headers=headers, key=key, value=value), JSONFormat())

    assert (read.get_id(), read.get_type(), read.get_source()) == (event.id, event.type, "/tests")
    assert (read.get_subject(), read.get_time()) == (event.subject, NOON)
    assert read.get_data() == event.model_dump(mode="json")
    assert read.get_specversion() == "1.0"


def test_the_header_says_structured_mode():
    assert events.HEADERS == {"content-type": b"application/cloudevents+json"}


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_garbage_is_an_event_error_and_nothing_else(value):
    with pytest.raises(events.EventError):
        events.decode(value)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"type": "batch.vanished"}, "unknown event type"),
        ({"data": None}, "fields are wrong"),
        ({"data": {"batch": "b1", "attempt": 0}}, "fields are wrong"),
        ({"id": None}, "fields are wrong"),
        ({"time": "noon"}, "fields are wrong"),
    ],
)
def test_an_event_with_a_wrong_field_says_what_is_wrong(changed, reason):
    _, value = events.encode(events.TrainingStarted(batch="b1", attempt=1), source="/tests", time=NOON)
    wrong = json.dumps(json.loads(value) | changed).encode()
    with pytest.raises(events.EventError, match=reason):
        events.decode(wrong)


def test_a_tombstone_is_no_event():
    with pytest.raises(events.EventError):
        events.decode(None)


def test_fields_that_a_later_version_adds_are_ignored():
    _, value = events.encode(events.TrainingStarted(batch="b1", attempt=1), source="/tests", time=NOON)
    envelope = json.loads(value)
    envelope["data"]["colour"] = "blue"
    envelope["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    assert events.decode(json.dumps(envelope).encode()).event == events.TrainingStarted(batch="b1", attempt=1)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (events.TrainingStarted(batch="b1", attempt=2), {"batch": "b1", "attempt": 2}),
        (
            events.TrainingFailed(batch="b1", attempt=2, reason="no rows", final=True, seconds=1.5),
            {"batch": "b1", "attempt": 2, "reason": "no rows", "final": True, "seconds": 1.5},
        ),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_events_of_before_there_was_a_gate_are_read(event, data):
    _, value = events.encode(event, source="/tests", time=NOON)
    old = json.dumps(json.loads(value) | {"data": data}).encode()
    assert events.decode(old).event == event


def test_requests_for_one_batch_are_told_apart_by_their_moment():
    first, second = (
        events.TrainingRequested(batch="b1", requested_at=NOON + timedelta(milliseconds=later))
        for later in (0, 1)
    )
    assert first.id == "training.requested/b1/2026-01-31T12:00:00.000Z"
    assert first.id != second.id


def test_times_are_told_in_utc_with_milliseconds():
    in_berlin = datetime(2026, 1, 31, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    assert events.iso(in_berlin) == "2026-01-31T12:00:00.123Z"


@given(st.integers(), st.none() | NUMBERS)
def test_an_announcement_is_read_again(pid, version):
    said = events.ServerAnnouncement(server="s", role="standby", model_version=version, pid=pid, since=NOON)
    assert events.ServerAnnouncement.decode(said.encode()) == said


def test_an_announcement_of_an_unknown_role_is_an_error():
    said = events.ServerAnnouncement(server="s", role="active", since=NOON).encode()
    with pytest.raises(events.EventError):
        events.ServerAnnouncement.decode(said.replace(b"active", b"retired"))
