from typing import Any

from control_plane.demo import report
from control_plane.simulator.traffic import Answer, Ledger


def answer(request_id: str, *, version: int = 1, status: str = "predicted", late: int = 5) -> Answer:
    return Answer(request_id, status, version, epoch=1, requested_ms=1000, answered_ms=1000 + late)


def window(
    model: str, *, count: int = 10, rmse: float = 100.0, end: str = "2026-01-31T12:01:00.000Z"
) -> dict[str, Any]:
    return {
        "kind": "error",
        "window_start": "2026-01-31T12:00:00.000Z",
        "window_end": end,
        "model_version": 1,
        "model": model,
        "count": count,
        "rmse": rmse,
        "mae": 80.0,
        "mape": 0.05,
        "coverage": 0.9 if model == "stack" else None,
    }


def test_all_is_well_when_each_request_has_one_answer_and_each_price_is_counted() -> None:
    ledger = Ledger(sent={(0, 0): "r-0", (1, 0): "r-1"})
    ledger.record((0, 0), answer("r-0"))
    ledger.record((1, 0), answer("r-1", version=2))

    assert report.problems(ledger, versions=[1, 2], prices=2, priced=2) == []


def test_everything_that_did_not_hold_is_named() -> None:
    ledger = Ledger(sent={(0, 0): "r-0", (1, 0): "r-1"}, undelivered=3)
    ledger.record((0, 0), answer("r-0"))
    ledger.record((0, 0), answer("r-0"))

    assert report.problems(ledger, versions=[1, 2], prices=2, priced=1) == [
        "1 requests were not answered, r-1 for one",
        "1 requests were answered twice",
        "3 requests did not reach Kafka",
        "version 2 answered no request",
        "2 prices were sent, but the live windows counted 1",
    ]


def test_the_first_answer_counts() -> None:
    ledger = Ledger(sent={(0, 0): "r-0"})
    assert ledger.record((0, 0), answer("r-0", version=1))
    assert not ledger.record((0, 0), answer("r-0", version=2))

    assert report.answered_by_version(ledger) == {1: 1}


def test_a_window_published_twice_counts_once() -> None:
    assert report.counted([window("stack"), window("stack"), window("linear_svm")]) == 10


def test_windows_show_the_stack_and_its_members_side_by_side() -> None:
    rows = report.windows(
        [window("stack"), window("linear_svm", rmse=200.0), {"kind": "drift"}], ["linear_svm", "gone"]
    )

    assert rows == [["12:00:00-12:01:00", "1", "10", "$100", "$80", "5.0 %", "90.0 %", "$200", "-"]]


def test_latency_is_told_a_phase_by_the_requests_sent_in_it() -> None:
    ledger = Ledger()
    ledger.record((0, 0), answer("r-0", late=4))
    ledger.record((0, 1), answer("r-1", late=6))

    rows = report.latency(ledger, [report.Phase("quiet", 0, 2000), report.Phase("later", 2000, 3000)])

    assert rows == [["quiet", "2", "5.0", "6.0", "6.0", "6.0"], ["later", "0", "nan", "nan", "nan", "nan"]]
