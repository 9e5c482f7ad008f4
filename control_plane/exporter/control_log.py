"""Trainings, rollouts and the queue, counted from the control topics: the log is the ledger. Pure.

All counts are those of the whole log, so they survive this process: a restart looks like nothing happened.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

from control_plane.decisions import Rollouts, Status, Trainings, on_batch_event, on_model_event
from control_plane.events import (
    ModelDegraded,
    ModelRegistered,
    RollbackRequested,
    RolloutFailed,
    RolloutStarted,
    RolloutSucceeded,
    TrainingFailed,
    TrainingStarted,
    TrainingSucceeded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from control_plane.events import Recorded


@dataclass
class Ends:
    """How often something ended in each of its ``outcomes``, when it last did, and how long it took."""

    outcomes: Sequence[str]
    count: Counter[str] = field(default_factory=Counter)
    last: dict[str, float] = field(default_factory=dict)
    timed: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, outcome: str, at: float, seconds: float | None) -> None:
        """Count an end at ``at`` (seconds since the epoch); not every one tells how long it took."""
        self.count[outcome] += 1
        self.last[outcome] = max(at, self.last.get(outcome, at))
        if seconds is not None:
            self.timed[outcome] += 1
            self.seconds[outcome] = self.seconds.get(outcome, 0.0) + seconds

    def collect(self, name: str, what: str) -> Iterator[Metric]:
        """Yield the metrics of a ``name`` in the singular: ``training``, ``rollout``."""
        total = CounterMetricFamily(f"car_price_{name}s", f"{what} that ended.", labels=["outcome"])
        duration = SummaryMetricFamily(
            f"car_price_{name}_duration_seconds", f"{what}: seconds taken.", labels=["outcome"]
        )
        for outcome in self.outcomes:
            total.add_metric([outcome], self.count[outcome])
            duration.add_metric([outcome], self.timed[outcome], self.seconds.get(outcome, 0.0))
        last = GaugeMetricFamily(
            f"car_price_last_{name}_end_timestamp_seconds",
            f"{what}: when one ended last.",
            labels=["outcome"],
        )
        for outcome, at in self.last.items():
            last.add_metric([outcome], at)
        yield from (total, duration, last)


class ControlLog:
    """What the events of ``control.batches`` and ``control.models`` come to; each counts once."""

    def __init__(self) -> None:
        self.rollouts = Rollouts()
        self.runs: dict[int, str] = {}  # MLflow's run of each registered version
        self._trainings = Trainings()
        self._seen: set[str] = set()
        self._types: Counter[type] = Counter()
        self._training_ends = Ends(("succeeded", "retried", "failed", "refused"))
        self._rollout_ends = Ends(("succeeded", "failed"))
        self._degraded: Counter[str] = Counter()

    def take(self, recorded: Recorded) -> None:
        """Take the next event of its topic; one that was told before is passed over."""
        if recorded.id in self._seen:
            return
        self._seen.add(recorded.id)
        self._types[type(recorded.event)] += 1
        self._trainings, _ = on_batch_event(self._trainings, recorded)
        self.rollouts, _ = on_model_event(self.rollouts, recorded)
        self._count(recorded)

    def _count(self, recorded: Recorded) -> None:
        at = recorded.time.timestamp()
        match recorded.event:
            case ModelRegistered(version=version, run_id=run_id):
                self.runs[version] = run_id
            case TrainingSucceeded(seconds=seconds):
                self._training_ends.add("succeeded", at, seconds)
            case TrainingFailed(seconds=seconds) as failed:
                self._training_ends.add(_outcome(failed), at, seconds)
            case RolloutSucceeded(seconds=seconds):
                self._rollout_ends.add("succeeded", at, seconds)
            case RolloutFailed():
                self._rollout_ends.add("failed", at, None)
            case ModelDegraded(what=what):
                self._degraded[what] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._training_ends.collect("training", "Attempts to train on a batch")
        yield from self._rollout_ends.collect("rollout", "Rollouts of a model version")
        for event, (name, what) in _COUNTED.items():
            yield CounterMetricFamily(name, what, value=self._types[event])
        degraded = CounterMetricFamily(
            "car_price_models_degraded", "Times that a model was said to have degraded.", labels=["what"]
        )
        for what in sorted({"rmse", "prediction", "inputs"} | self._degraded.keys()):
            degraded.add_metric([what], self._degraded[what])
        yield degraded
        batches = GaugeMetricFamily(
            "car_price_batches", "Batches that have arrived, by where they are.", labels=["status"]
        )
        statuses = Counter(batch.status for batch in self._trainings.batches.values())
        for status in Status:
            batches.add_metric([str(status)], statuses[status])
        yield batches
        if (wanted := self.rollouts.wanted) is not None:
            yield GaugeMetricFamily(
                "car_price_wanted_model_version", "The version that shall serve.", value=wanted
            )


_COUNTED = {
    TrainingStarted: ("car_price_trainings_started", "Attempts to train on a batch that began."),
    ModelRegistered: ("car_price_models_registered", "Model versions that were registered."),
    RolloutStarted: ("car_price_rollouts_started", "Rollouts of a model version that began."),
    RollbackRequested: ("car_price_rollbacks_requested", "Rollbacks that were asked for."),
}


def _outcome(failed: TrainingFailed) -> str:
    """Tell an attempt that another one follows from the last, and from a batch not to be trained on."""
    if failed.profile is not None:
        return "refused"
    return "failed" if failed.final else "retried"
