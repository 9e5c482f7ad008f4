from datetime import UTC, datetime
from typing import Any

from spark_apps.monitoring.progress import EPOCH, Progress


def reported(**changes: Any) -> dict[str, Any]:
    """What Spark reports of a batch of 10 records, of which nothing is to be said."""
    source = {
        "startOffset": {"outcomes": {"0": 100, "1": 50}},
        "endOffset": {"outcomes": {"0": 104, "1": 56}},
        "numInputRows": 10,
    }
    return {
        "batchId": 7,
        "batchDuration": 1500,
        "durationMs": {"addBatch": 1200, "walCommit": 300, "triggerExecution": 1500},
        "eventTime": {"watermark": "2026-01-31T12:00:00.000Z"},
        "stateOperators": [
            {"operatorName": "stateStoreSave", "numRowsTotal": 4, "numRowsDroppedByWatermark": 0},
            {"operatorName": "dedupeWithinWatermark", "numRowsTotal": 9, "numRowsDroppedByWatermark": 0},
        ],
        "sources": [source],
        "observedMetrics": {"outcomes": {"read": 10, "unusable": 0}},
    } | changes


def source(start: object, end: object, rows: int) -> dict[str, Any]:
    return {"startOffset": start, "endOffset": end, "numInputRows": rows}


def test_a_batch_in_which_all_counted_has_no_losses() -> None:
    progress = Progress.of(reported())
    assert progress == Progress(
        batch=7,
        watermark=datetime(2026, 1, 31, 12, tzinfo=UTC),
        read={"outcomes": 10},
        open_windows=4,
        state_rows=13,
        seconds=1.5,
        steps={"addBatch": 1200, "walCommit": 300},
    )
    assert progress.losses == {}


def test_records_that_could_not_be_used_are_counted_by_kind() -> None:
    observed = {"answers": {"read": 9, "unusable": 2}, "prices": {"read": 5, "unusable": 0}}
    assert Progress.of(reported(observedMetrics=observed)).losses == {"unusable": {"answers": 2}}


def test_late_records_are_counted_over_all_operators() -> None:
    operators = [
        {"operatorName": "dedupeWithinWatermark", "numRowsTotal": 0, "numRowsDroppedByWatermark": 2},
        {"operatorName": "stateStoreSave", "numRowsTotal": 0, "numRowsDroppedByWatermark": 1},
    ]
    assert Progress.of(reported(stateOperators=operators)).losses == {"late": 3}


def test_offsets_without_records_are_counted_as_lost() -> None:
    short = source({"t": {"0": 0, "1": 5}}, {"t": {"0": 8, "1": 9}}, 9)
    assert Progress.of(reported(sources=[short])).losses == {"lost": 3}


def test_a_first_batch_has_lost_nothing() -> None:
    first = source(None, {"t": {"0": 8}}, 3)
    assert Progress.of(reported(sources=[first])).losses == {}


def test_a_partition_that_is_new_has_lost_nothing() -> None:
    grown = source({"t": {"0": 5}}, {"t": {"0": 8, "1": 40}}, 23)
    assert Progress.of(reported(sources=[grown])).losses == {}


def test_a_query_without_a_batch_yet_is_at_the_beginning_of_time() -> None:
    assert Progress.of(reported(eventTime={})).watermark == EPOCH
