from __future__ import annotations

import pytest

from control_plane.exporter.answers import Answers
from control_plane.records import RecordError
from tests.unit.exporter.exposition import series
from tests.unit.exporter.records import answer, answered_ms


@pytest.fixture
def answers() -> Answers:
    return Answers(versions=2)


def test_answers_are_counted_by_version_and_status(answers):
    for offset in range(3):
        answers.take(answer(offset), answered_ms(2))
    answers.take(answer(3, status="rejected"), answered_ms(2))
    answers.take(answer(4, version=8), answered_ms(2))
    assert series(answers.collect(), "answers_total") == {
        'answers_total{model_version="7",status="predicted"}': 3,
        'answers_total{model_version="7",status="rejected"}': 1,
        'answers_total{model_version="8",status="predicted"}': 1,
        'answers_total{model_version="8",status="rejected"}': 0,
    }


def test_latency_is_from_the_requests_record_to_the_answers(answers):
    for offset, late_ms in enumerate((2, 2, 400, -1)):  # a broker's clock may be set back
        answers.take(answer(offset), answered_ms(late_ms))
    found = series(answers.collect(), "answer_latency_seconds")
    assert found['answer_latency_seconds_bucket{le="0.001"}'] == 1
    assert found['answer_latency_seconds_bucket{le="0.0025"}'] == 3
    assert found['answer_latency_seconds_bucket{le="0.25"}'] == 3
    assert found['answer_latency_seconds_bucket{le="0.5"}'] == 4
    assert found['answer_latency_seconds_bucket{le="+Inf"}'] == 4
    assert found["answer_latency_seconds_count"] == 4
    assert found["answer_latency_seconds_sum"] == pytest.approx(0.404)


def test_a_second_answer_to_a_request_is_a_repeat_and_nothing_else(answers):
    answers.take(answer(1), answered_ms(2))
    answers.take(answer(1, version=8), answered_ms(60_000))
    answers.take(answer(1, partition=1), answered_ms(2))
    found = series(answers.collect())
    assert found["repeated_answers_total"] == 1
    assert found['answers_total{model_version="7",status="predicted"}'] == 2
    assert found["answer_latency_seconds_count"] == 2
    assert not [name for name in found if '"8"' in name]


def test_only_the_versions_that_answered_last_keep_series(answers):
    for offset, version in enumerate((1, 2, 1, 3, 9)):
        answers.take(answer(offset, version=version), answered_ms(2))
    assert set(series(answers.collect(), "answers_total")) == {
        f'answers_total{{model_version="{version}",status="{status}"}}'
        for version in (3, 9)
        for status in ("predicted", "rejected")
    }


def test_an_old_version_that_answers_again_has_series_again(answers):
    for offset, version in enumerate((1, 2, 3, 1)):
        answers.take(answer(offset, version=version), answered_ms(2))
    assert series(answers.collect())['answers_total{model_version="1",status="predicted"}'] == 1


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b"null", answer(1, status="guessed")])
def test_what_is_no_answer_is_refused_and_counts_for_nothing(answers, value):
    with pytest.raises(RecordError):
        answers.take(value, answered_ms(2))
    assert series(answers.collect(), "answer_latency_seconds_count") == {"answer_latency_seconds_count": 0}
