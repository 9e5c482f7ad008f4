"""What the page shows, made of the topics' records and nothing else. Pure: records in, sections out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from control_plane import audit_view, events, records, status, topics
from control_plane.web import handovers
from control_plane.web.drift import LastDrift
from control_plane.web.latency import Latencies
from control_plane.web.live_errors import LiveErrors

if TYPE_CHECKING:
    from collections.abc import Callable

Section: TypeAlias = Any  # what JSON can hold

MOST_STORIES = 50  # shown; `pipelines audit` tells them all
AHEAD_S = 3600.0  # within which a window may end after its record was written
RECENT_ANSWERS = 20_000  # by which a second answer to a request is recognised


class Board:
    """The state of the page. It grows with the control topics alone, which are a few records a batch."""

    def __init__(self, history_s: float) -> None:
        self._errors = LiveErrors(history_s)
        self._drift = LastDrift()
        self._latencies = Latencies()
        self._epochs = handovers.Epochs()
        self._batch_log: list[events.Recorded] = []
        self._model_log: list[events.Recorded] = []
        self._servers: dict[bytes, events.ServerAnnouncement] = {}
        self._recent: dict[tuple[int, int], None] = {}
        self._last_answer_ms: int | None = None
        self._repeated = 0
        self.unreadable = 0
        self.answered_to: dict[int, int] = {}  # by partition, the offset after the last request answered
        self._dirty = {"serving", "errors", "drift", "handovers", "batches", "models"}

    def take(
        self, topic: str, key: bytes | None, value: bytes | None, recorded_ms: int
    ) -> records.Answer | None:
        """Take a record of a topic; return the answer if it is the first to its request.

        One that cannot be read is counted, and changes nothing.
        """
        try:
            match topic:
                case topics.PREDICTIONS:
                    return self._take_answer(records.answer(value), recorded_ms)
                case topics.METRICS:
                    self._take_metric(value, recorded_ms)
                case topics.CONTROL_SERVERS:
                    self._take_server(key or b"", value)
                case topics.CONTROL_BATCHES:
                    self._batch_log.append(events.decode(value))
                    self._dirty |= {"batches"}
                case topics.CONTROL_MODELS:
                    self._model_log.append(events.decode(value))
                    self._dirty |= {"models", "handovers"}
        except (events.EventError, records.RecordError):
            self.unreadable += 1
        return None

    def _take_answer(self, answer: records.Answer, recorded_ms: int) -> records.Answer | None:
        place = answer.partition, answer.offset
        if place in self._recent:  # the reader's rule: the first answer to a request is the answer
            self._repeated += 1
            return None
        self._recent[place] = None
        if len(self._recent) > RECENT_ANSWERS:
            del self._recent[next(iter(self._recent))]
        late_ms = recorded_ms - answer.requested_ms
        self._latencies.take(recorded_ms, late_ms, rejected=answer.status == "rejected")
        self._last_answer_ms = max(recorded_ms, self._last_answer_ms or 0)
        self.answered_to[answer.partition] = max(answer.offset + 1, self.answered_to.get(answer.partition, 0))
        if self._epochs.take(answer, recorded_ms):
            self._dirty |= {"handovers"}
        return answer

    def _take_metric(self, value: bytes | None, recorded_ms: int) -> None:
        window = records.metric(value)
        if window is not None and window.window_end.timestamp() > recorded_ms / 1000 + AHEAD_S:
            raise records.RecordError("a window of the future, next to which all others would be too old")
        match window:
            case records.ErrorWindow():
                self._errors.take(window)
                self._dirty |= {"errors"}
            case records.DriftWindow():
                self._drift.take_drift(window)
                self._dirty |= {"drift"}
            case records.EstimateWindow():
                self._drift.take_estimate(window)
                self._dirty |= {"drift"}

    def _take_server(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._servers.pop(key, None)
        else:
            self._servers[key] = events.ServerAnnouncement.decode(value)
        self._dirty |= {"serving"}

    def changed(self, now: float) -> dict[str, Section]:
        """Return the sections that changed since the last call; ``now`` is Unix time.

        ``traffic`` and ``latency`` change with the clock and are always among them.
        """
        dirty, self._dirty = self._dirty, set()
        shown: dict[str, Callable[[], Section]] = {
            "serving": self._serving,
            "errors": self._errors.shown,
            "drift": self._drift.shown,
            "handovers": self._handovers,
            "batches": self._batches,
            "models": self._models,
        }
        sections = {name: shown[name]() for name in shown if name in dirty}
        return sections | {"traffic": self._traffic(now), "latency": self._latencies.series(now)}

    def _serving(self) -> Section:
        leads = status.leader(self._servers.values())
        since = leads.since.timestamp() if leads else None
        return status.serving(self._servers.values()) | {"since": since}

    def _handovers(self) -> Section:
        log = audit_view.without_repeats(self._model_log)
        return [one.shown() for one in handovers.told(log, self._epochs.handovers)]

    def _batches(self) -> Section:
        return _with_stories(status.batches(self._batch_log), "batch", self._batch_log)

    def _models(self) -> Section:
        return _with_stories(status.models(self._model_log), "model_version", self._model_log)

    def _traffic(self, now: float) -> Section:
        last = self._last_answer_ms
        return self._latencies.summary(now) | {
            "now": now,
            "last_answer": None if last is None else last / 1000,
            "repeated": self._repeated,
            "unreadable": self.unreadable,
        }


def _with_stories(rows: list[status.Json], name: str, log: list[events.Recorded]) -> list[status.Json]:
    """Return the newest rows, the newest first, each with what happened to it."""
    stories = {
        story[0].event.subject: [_told(record) for record in story]
        for story in audit_view.by_subject(log).values()
    }
    newest = reversed(rows[-MOST_STORIES:])
    return [row | {"story": stories.get(str(row[name]), [])} for row in newest]


def _told(record: events.Recorded) -> status.Json:
    return {
        "at": record.time.timestamp(),
        "type": record.event.type,
        "seconds": getattr(record.event, "seconds", None),
        "what": audit_view.what(record.event),
    }
