"""What Spark tells of a query's last batch, and what of it is worth a line in the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE = "triggerExecution"  # the batch itself
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Progress:
    """One batch of a query.

    ``read`` and ``unusable`` count records by what they are (answers, prices, outcomes, …); ``late`` those
    that came after the watermark, ``lost`` those that aged out of Kafka unread; ``open_windows`` the groups
    in windows that are not published yet, ``state_rows`` all that is remembered; ``steps`` are the batch's
    own parts, ms.
    """

    batch: int
    watermark: datetime = EPOCH
    read: Mapping[str, int] = field(default_factory=dict)
    unusable: Mapping[str, int] = field(default_factory=dict)
    late: int = 0
    lost: int = 0
    open_windows: int = 0
    state_rows: int = 0
    seconds: float = 0.0
    steps: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, reported: Mapping[str, Any]) -> Progress:
        """Read Spark's ``StreamingQueryProgress``."""
        observed = {name: _as_dict(row) for name, row in (reported["observedMetrics"] or {}).items()}
        operators = reported["stateOperators"]
        return cls(
            batch=reported["batchId"],
            watermark=_moment(reported["eventTime"].get("watermark")),
            read={name: counts["read"] for name, counts in observed.items() if counts["read"]},
            unusable={
                name: counts["unusable"] for name, counts in observed.items() if counts.get("unusable")
            },
            late=sum(operator["numRowsDroppedByWatermark"] for operator in operators),
            lost=sum(_lost(source) for source in reported["sources"]),
            open_windows=sum(
                operator["numRowsTotal"]
                for operator in operators
                if operator["operatorName"] == "stateStoreSave"
            ),
            state_rows=sum(operator["numRowsTotal"] for operator in operators),
            seconds=reported["batchDuration"] / 1000,
            steps={name: ms for name, ms in reported["durationMs"].items() if name != _WHOLE},
        )

    @property
    def losses(self) -> dict[str, Any]:
        """What did not count, ready for the log; empty when all did."""
        found = {"unusable": dict(self.unusable), "late": self.late, "lost": self.lost}
        return {name: count for name, count in found.items() if count}


def _as_dict(row: Any) -> dict[str, int]:
    return row if isinstance(row, dict) else row.asDict()


def _moment(text: str | None) -> datetime:
    return EPOCH if text is None else datetime.fromisoformat(text)


def _lost(source: Mapping[str, Any]) -> int:
    """Return how many offsets of a Kafka source's batch had no record any more."""
    start, end = _offsets(source["startOffset"]), _offsets(source["endOffset"])
    wanted = sum(offset - start[partition] for partition, offset in end.items() if partition in start)
    known = all(partition in start for partition in end)  # else the batch was the very first
    return max(0, wanted - source["numInputRows"]) if known else 0


def _offsets(reported: Any) -> dict[tuple[str, str], int]:
    if not isinstance(reported, dict):
        return {}
    return {
        (topic, partition): offset
        for topic, partitions in reported.items()
        for partition, offset in partitions.items()
    }
