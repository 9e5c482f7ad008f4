"""The backlog of `make bench-monitoring`: records as the contract has them, each at its time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control_plane import records
from control_plane.prices import is_price
from control_plane.topics import LISTINGS, PREDICTIONS
from tests.benchmarks.monitoring import traffic

Sent = list[tuple[str, int, str, float]]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent: Sent = []

    class Sending:
        def __init__(self, *_: Any) -> None: ...

        def send(self, *record: Any) -> None:
            sent.append(record)

        def flush(self) -> None: ...

    monkeypatch.setattr(traffic, "_Sending", Sending)
    monkeypatch.setattr(traffic, "_make_topics", lambda *_: None)
    return sent


@pytest.mark.parametrize("requests", [False, True])
def test_every_answer_has_a_price_within_the_horizon(found: Sent, requests: bool) -> None:
    traffic.Traffic(500, 100, lag=2, horizon=10, requests=requests).write("-", 2, lambda *_: None)
    answered = {number: at for topic, number, _, at in found if topic == PREDICTIONS}
    paid = {
        number: at for topic, number, value, at in found if topic == LISTINGS and is_price(value.encode())
    }
    assert len(answered) == len(paid) == 500
    assert all(0 <= paid[number] - at <= 10_000 for number, at in answered.items())
    assert len(found) == (1_500 if requests else 1_000)


def test_records_are_in_the_order_of_time_and_as_the_contract_has_them(found: Sent) -> None:
    traffic.Traffic(300, 100, lag=2, horizon=10, requests=True).write("-", 2, lambda *_: None)
    for topic in (PREDICTIONS, LISTINGS):
        times = [at for name, _, _, at in found if name == topic]
        assert times == sorted(times)
    answers = [records.answer(value.encode()) for topic, _, value, _ in found if topic == PREDICTIONS]
    assert len({(one.partition, one.offset) for one in answers}) == 300
    assert {one.status for one in answers} == {"predicted"}
    kinds = [json.loads(value)["kind"] for topic, _, value, _ in found if topic == LISTINGS]
    assert sorted(set(kinds)) == ["price", "request"]
