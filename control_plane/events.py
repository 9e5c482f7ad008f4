"""The control events: what the audit log consists of. Pure: no network, no clock but the one passed in.

Every event is a CloudEvents 1.0 record in structured mode. Its ``subject`` (the batch id or the model
version) is the record's key, so that one life story stays in order; its ``id`` is made from what
happened, so that publishing it twice is harmless.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from control_plane.failures import RefusedProfile

CONTENT_TYPE = "application/cloudevents+json"
HEADERS: dict[str, str | bytes | None] = {"content-type": CONTENT_TYPE.encode()}
BATCHES = "control.batches"
MODELS = "control.models"
SERVERS = "control.servers"


class EventError(ValueError):
    """A record of a control topic that is no control event; the message says why."""


class Event(BaseModel):
    """What happened; its fields are the CloudEvent's ``data``."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    type: ClassVar[str]
    topic: ClassVar[str]

    @property
    def subject(self) -> str:
        """The batch id or the model version that the event is about."""
        raise NotImplementedError

    @property
    def id(self) -> str:
        """The same for the same happening, whoever publishes it and however often."""
        return f"{self.type}/{self.subject}"


class BatchEvent(Event):
    """An event in the life of a batch."""

    topic: ClassVar[str] = BATCHES
    batch: str = Field(min_length=1)

    @property
    def subject(self) -> str:
        """The batch id."""
        return self.batch


class BatchArrived(BatchEvent):
    """A batch is complete in HDFS (its ``_SUCCESS`` is there)."""

    type: ClassVar[str] = "batch.arrived"
    path: str
    files: int
    bytes: int


class TrainingEvent(BatchEvent):
    """An event of one attempt to train on a batch; attempts count from 1."""

    attempt: int = Field(ge=1)

    @property
    def job(self) -> str:
        """The job's name, derived from batch and attempt, so that submitting twice meets the first."""
        return f"train-{self.batch}-{self.attempt}"

    @property
    def id(self) -> str:
        """Batch and attempt together."""
        return f"{self.type}/{self.batch}/{self.attempt}"


class TrainingRequested(BatchEvent):
    """Someone wants a batch to be trained on anew; ``requested_at`` tells requests apart.

    With ``accept_profile`` its profile may be beyond the bounds.
    """

    type: ClassVar[str] = "training.requested"
    requested_at: datetime
    accept_profile: bool = False

    @property
    def id(self) -> str:
        """The batch and the moment."""
        return f"{self.type}/{self.batch}/{iso(self.requested_at)}"


class TrainingStarted(TrainingEvent):
    """An attempt begins. ``first_attempt`` is the first since the batch arrived or was asked for last."""

    type: ClassVar[str] = "training.started"
    first_attempt: int = Field(1, ge=1)
    accept_profile: bool = False


class TrainingSucceeded(TrainingEvent):
    """An attempt ended with a registered model; ``logs`` says where its log is kept."""

    type: ClassVar[str] = "training.succeeded"
    run_id: str
    version: int
    seconds: float
    logs: str | None = None


class TrainingFailed(TrainingEvent):
    """An attempt failed; ``final`` when there will not be another. ``logs`` says where its log is kept.

    ``profile`` is there when the batch was refused for it.
    """

    type: ClassVar[str] = "training.failed"
    reason: str
    final: bool
    seconds: float | None = None
    logs: str | None = None
    profile: RefusedProfile | None = None


class ModelEvent(Event):
    """An event in the life of a model version."""

    topic: ClassVar[str] = MODELS
    version: int = Field(ge=1)

    @property
    def subject(self) -> str:
        """The model version."""
        return str(self.version)


class ModelRegistered(ModelEvent):
    """A version is in the MLflow registry. ``digest`` is of its files; only a model with it is loaded."""

    type: ClassVar[str] = "model.registered"
    model: str
    run_id: str
    batches: list[str]
    digest: str | None = None


class RolloutEvent(ModelEvent):
    """An event of one rollout; rollouts count from 1 over all versions, since a version can come twice."""

    rollout: int = Field(ge=1)

    @property
    def id(self) -> str:
        """The rollout's number with its version."""
        return f"{self.type}/{self.version}/{self.rollout}"


class RolloutStarted(RolloutEvent):
    """The version begins to take the place of ``replaces`` (null for the very first)."""

    type: ClassVar[str] = "rollout.started"
    replaces: int | None


class RolloutSucceeded(RolloutEvent):
    """A server of the version answers."""

    type: ClassVar[str] = "rollout.succeeded"
    seconds: float


class RolloutFailed(RolloutEvent):
    """The version did not come to answer; what it was to replace goes on."""

    type: ClassVar[str] = "rollout.failed"
    reason: str


class RollbackRequested(ModelEvent):
    """Someone wants ``version`` back in place of what serves now. ``requested_at`` tells requests apart."""

    type: ClassVar[str] = "rollback.requested"
    requested_at: datetime

    @property
    def id(self) -> str:
        """The version and the moment."""
        return f"{self.type}/{self.version}/{iso(self.requested_at)}"


class ModelDegraded(ModelEvent):
    """In ``windows`` windows in a row something of the version was beyond its bound.

    ``what`` is ``rmse`` (US dollars), ``prediction`` (population stability index) or ``inputs`` (how many
    have drifted: ``features``); ``value`` is that of the last of the windows, which the event names.
    """

    type: ClassVar[str] = "model.degraded"
    what: str = Field(min_length=1)
    value: float
    bound: float
    window_start: datetime
    window_end: datetime
    windows: int = Field(ge=1)
    features: list[str] = []

    @property
    def id(self) -> str:
        """The version, what it is about, and the window."""
        return f"{self.type}/{self.version}/{self.what}/{iso(self.window_end)}"


class ShadowRequested(ModelEvent):
    """Someone wants ``version`` to answer every request from now on to a topic of its own."""

    type: ClassVar[str] = "shadow.requested"
    requested_at: datetime

    @property
    def id(self) -> str:
        """The version and the moment."""
        return f"{self.type}/{self.version}/{iso(self.requested_at)}"


class ShadowStopped(ModelEvent):
    """Someone wants no shadow any more; ``version`` was it."""

    type: ClassVar[str] = "shadow.stopped"
    requested_at: datetime

    @property
    def id(self) -> str:
        """The version and the moment."""
        return f"{self.type}/{self.version}/{iso(self.requested_at)}"


EVENT_TYPES: dict[str, type[Event]] = {
    event.type: event
    for event in (
        BatchArrived,
        TrainingRequested,
        TrainingStarted,
        TrainingSucceeded,
        TrainingFailed,
        ModelRegistered,
        RolloutStarted,
        RolloutSucceeded,
        RolloutFailed,
        RollbackRequested,
        ModelDegraded,
        ShadowRequested,
        ShadowStopped,
    )
}


class Recorded(BaseModel):
    """An event as it stands in the log: who published it (``source``) and when (UTC)."""

    model_config = ConfigDict(frozen=True)
    id: str
    source: str
    time: datetime
    event: Event


def encode(event: Event, *, source: str, time: datetime) -> tuple[bytes, bytes]:
    """Return the record's key and value; publish them with :data:`HEADERS`."""
    envelope = {
        "specversion": "1.0",
        "id": event.id,
        "type": event.type,
        "source": source,
        "subject": event.subject,
        "time": iso(time),
        "datacontenttype": "application/json",
        "data": event.model_dump(mode="json"),
    }
    return event.subject.encode(), json.dumps(envelope).encode()


def decode(value: bytes | None) -> Recorded:
    """Read a record's value, or raise :class:`EventError`."""
    try:
        envelope: Any = json.loads(value or b"")
        if not isinstance(envelope, dict) or envelope.get("specversion") != "1.0":
            raise EventError("not a CloudEvent of specversion 1.0")
        if envelope.get("type") not in EVENT_TYPES:
            raise EventError(f"unknown event type {envelope.get('type')!r}")
        event = EVENT_TYPES[envelope["type"]].model_validate(envelope.get("data"))
        return Recorded(
            id=envelope.get("id"), source=envelope.get("source"), time=envelope.get("time"), event=event
        )
    except ValidationError as error:
        raise EventError(f"{error.error_count()} fields are wrong: {error.errors()[0]['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, EventError) else EventError(f"not JSON: {error}") from None


class ServerAnnouncement(BaseModel):
    """What a serving server says of itself in ``control.servers`` (compacted, keyed by ``server``).

    ``pid`` is the Python process and ``pids`` it and its JVM; in Kubernetes ``pod`` is set in place of both.
    ``epoch`` is the leader's, null for a standby; shadows count their own. A tombstone: the server is gone.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    server: str
    role: str = Field(pattern="^(starting|standby|active|shadow)$")
    model_version: int | None = None
    epoch: int | None = None
    pid: int | None = None
    pids: list[int] = []
    pod: str | None = None
    since: datetime

    @property
    def key(self) -> bytes:
        """The record's key."""
        return self.server.encode()

    def encode(self) -> bytes:
        """Return the record's value."""
        return self.model_dump_json().encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a record's value, or raise :class:`EventError`."""
        try:
            return cls.model_validate_json(value)
        except ValidationError as error:
            raise EventError(f"not a server's announcement: {error.errors()[0]['msg']}") from None


def iso(moment: datetime) -> str:
    """Return the moment as ISO 8601 in UTC with milliseconds: ``2026-01-31T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
