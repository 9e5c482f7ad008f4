"""All topics together, as Prometheus's own checker sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import events
from control_plane.exporter.answers import Answers
from control_plane.exporter.held_out import HeldOutErrors
from control_plane.exporter.ledger import READ, Ledger
from control_plane.exporter.offsets import Offsets
from tests.unit.control_plane.stories import BATCHES, MODELS, NOON, told
from tests.unit.exporter.exposition import series, text
from tests.unit.exporter.records import answer, answered_ms, window
from tests.unit.exporter.test_held_out import FIGURES, Runs
from tests.unit.observability.files import COMPONENT

NOW = NOON.timestamp()


@dataclass
class Record:
    """A message as the consumer gives it."""

    of: str
    content: bytes | None
    of_key: bytes = b""

    def topic(self) -> str:
        return self.of

    def key(self) -> bytes:
        return self.of_key

    def value(self) -> bytes | None:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 2, answered_ms(2)


ACTIVE = events.ServerAnnouncement(server="a", role="active", model_version=2, epoch=3, since=NOON)


@pytest.fixture
def answers() -> Answers:
    return Answers(versions=2)


@pytest.fixture
def ledger(answers: Answers) -> Ledger:
    ledger = Ledger(answers, versions=2, window_age=3600)
    for record in (*BATCHES, *MODELS):
        key, value = events.encode(record.event, source="/tests", time=record.time)
        ledger.take(Record(record.event.topic, value, key))
    ledger.take(Record(events.SERVERS, ACTIVE.encode(), ACTIVE.key))
    ledger.take(Record("metrics", window()))
    ledger.take(Record("predictions", answer(1)))
    return ledger


def test_each_topic_reaches_the_part_that_knows_it(ledger, answers):
    found = series(ledger.collect(NOW)) | series(answers.collect())
    assert found["wanted_model_version"] == 2
    assert found["serving_epoch"] == 3
    assert found['live_mae_dollars{model="stack",model_version="7"}'] == 1_700
    assert found['answers_total{model_version="7",status="predicted"}'] == 1


def test_what_cannot_be_read_is_counted_by_topic_and_stops_nothing(ledger, answers):
    for topic in ("predictions", "metrics", events.SERVERS, events.BATCHES, events.MODELS):
        ledger.take(Record(topic, b"\xff\xfe"))
    ledger.take(Record("metrics", None))
    ledger.take(Record("predictions", answer(2)))
    assert series(ledger.collect(NOW), "unreadable_records") == {
        'unreadable_records_total{topic="control.batches"}': 1,
        'unreadable_records_total{topic="control.models"}': 1,
        'unreadable_records_total{topic="control.servers"}': 1,
        'unreadable_records_total{topic="metrics"}': 2,
        'unreadable_records_total{topic="predictions"}': 1,
    }
    assert series(answers.collect())['answers_total{model_version="7",status="predicted"}'] == 2


GARBAGE = [
    b"\xff\xfe",
    b'{"kind": "\xff"}',
    window().replace(b".000Z", b".000"),
    answer(1).replace(b".000Z", b".000"),
    answer(1).replace(b"2026", b"0001"),
    b'{"kind": ' + b"[" * 10_000,
    b"9" * 10_000,
]


@pytest.mark.parametrize("topic", READ)
@pytest.mark.parametrize("value", GARBAGE)
def test_no_record_stops_it(ledger, topic, value):
    ledger.take(Record(topic, value))


@given(st.sampled_from(READ), st.binary() | st.text().map(str.encode) | st.none())
def test_no_bytes_stop_it(topic, value):
    Ledger(Answers(versions=2), versions=2, window_age=3600).take(Record(topic, value))


def test_runs_are_those_of_the_newest_versions_and_of_the_one_that_serves(ledger):
    def registered(version: int) -> events.ModelRegistered:
        return events.ModelRegistered(version=version, model="m", run_id=f"run-{version}", batches=[])

    back = NOON + timedelta(hours=1)
    more = told(
        *(registered(version) for version in (3, 4, 5)),
        events.RollbackRequested(version=1, requested_at=back),
        events.RolloutStarted(version=3, rollout=3, replaces=2),
        events.RolloutFailed(version=3, rollout=3, reason="x"),
        events.RolloutStarted(version=1, rollout=4, replaces=2),
        events.RolloutSucceeded(version=1, rollout=4, seconds=1.0),
    )
    for record in more:
        ledger.take(Record(events.MODELS, events.encode(record.event, source="/t", time=record.time)[1]))
    assert ledger.runs == {1: "run-1", 4: "run-4", 5: "run-5"}


def exposed(ledger: Ledger, answers: Answers) -> str:
    errors = HeldOutErrors(Runs({"run-2": FIGURES}))
    errors.ask({2: "run-2"})
    offsets = Offsets({("listings", 0): 1, ("outcomes", 0): 1}, {0: 1})
    return text([*ledger.collect(NOW), *answers.collect(), *errors.collect(), *offsets.collect()])


def test_the_components_readme_lists_each_metric_and_no_other(ledger, answers):
    told = set(re.findall(r"^# HELP (\S+)", exposed(ledger, answers), re.MULTILINE))
    listed = set(re.findall(r"`(car_price_\w+)`", (COMPONENT / "README.md").read_text()))
    assert listed == told | {"car_price_exporter_kafka_up"}


def test_promtool_finds_nothing_to_say_of_the_metrics(ledger, answers):
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not on the PATH (Debian: the package prometheus)")
    told = exposed(ledger, answers)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=told, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
