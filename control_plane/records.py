"""The records of the data topics, as those read them that need no Spark. Fields are those of the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec

# What no record of the system exceeds: a sum of any of them is a number that JSON can hold.
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Version: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class RecordError(ValueError):
    """A record that is not what the contract says; the message says why."""


class Request(msgspec.Struct, frozen=True, tag_field="kind", tag="request"):
    """A record of ``listings`` that asks for a price. Its key is the request id.

    ``listing`` has the raw columns, named and formatted as in the dataset; ``make_name``, ``model_name`` and
    ``year`` must be there, unknown ones are ignored.
    """

    request_id: Text
    listing: dict[str, str | float | bool | None]


class Price(msgspec.Struct, frozen=True, tag_field="kind", tag="price"):
    """A record of ``listings`` that tells what a car got (US dollars). Its key is the request id.

    ``priced_at`` is the manager's own time (ISO 8601, UTC), told on and never compared.
    """

    request_id: Text
    price: float
    priced_at: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """A record of ``predictions``: the answer to the request at ``partition`` and ``offset`` of ``listings``.

    ``price`` to ``high`` and ``members`` are US dollars, null when rejected.
    """

    request_id: str | None
    status: Literal["predicted", "rejected"]
    price: Amount | None
    low: Amount | None
    high: Amount | None
    members: dict[str, Amount | None] | None
    model_version: Version
    reason: str | None
    partition: Number
    offset: Number
    epoch: Number
    requested_at: Moment

    @property
    def requested_ms(self) -> int:
        """When the request was recorded, ms since the epoch by the broker's clock."""
        return round(self.requested_at.timestamp() * 1000)


class Outcome(msgspec.Struct, frozen=True):
    """A record of ``outcomes``: an answer's fields and what the car really got, ``actual`` (US dollars).

    What the windows can do without may be missing.
    """

    request_id: str
    price: Amount
    actual: Amount
    model_version: Version
    low: Amount | None = None
    high: Amount | None = None
    members: dict[str, Amount | None] | None = None
    partition: Number | None = None
    offset: Number | None = None
    epoch: Number | None = None


class ErrorWindow(msgspec.Struct, frozen=True, tag_field="kind", tag="error"):
    """A record of ``metrics`` of the kind ``error``: one window of one model of one version.

    ``rmse``, ``mae`` and ``bias`` are US dollars, ``mape`` and ``coverage`` shares.
    """

    window_start: Moment
    window_end: Moment
    model_version: Version
    model: str
    count: Number
    rmse: Amount | None
    mae: Amount | None
    mape: Amount | None
    bias: Amount | None
    r2: Amount | None
    coverage: Amount | None


class DriftWindow(msgspec.Struct, frozen=True, tag_field="kind", tag="drift"):
    """A record of ``metrics`` of the kind ``drift``: how unlike one window's values are to the train set.

    ``feature`` is an input, ``prediction`` or ``interval_width``; ``psi`` the population stability index
    against what ``model_version`` was trained on; ``chance`` the index that one window in a hundred of so few
    values exceeds though nothing has changed; ``missing`` the share without a value.
    """

    window_start: Moment
    window_end: Moment
    model_version: Version
    feature: str
    psi: Amount
    chance: Amount
    count: Number
    missing: Amount


class EstimateWindow(msgspec.Struct, frozen=True, tag_field="kind", tag="estimate"):
    """A record of ``metrics`` of the kind ``estimate``: errors expected of answers whose prices are unknown.

    ``half_width`` (the mean of their intervals'), ``mae`` and ``rmse`` are US dollars.
    """

    window_start: Moment
    window_end: Moment
    model_version: Version
    count: Number
    half_width: Amount
    mae: Amount
    rmse: Amount


Metric: TypeAlias = ErrorWindow | DriftWindow | EstimateWindow


class _Kind(msgspec.Struct):
    kind: str


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ANSWERS = msgspec.json.Decoder(Answer)
_OUTCOMES = msgspec.json.Decoder(Outcome)
_KINDS = msgspec.json.Decoder(_Kind)
_METRICS: dict[str, msgspec.json.Decoder[Metric]] = {
    "error": msgspec.json.Decoder(ErrorWindow),
    "drift": msgspec.json.Decoder(DriftWindow),
    "estimate": msgspec.json.Decoder(EstimateWindow),
}


def answer(value: bytes | None) -> Answer:
    """Read a record of ``predictions``, or raise :class:`RecordError`."""
    try:
        return _ANSWERS.decode(value or b"")
    except _UNREADABLE as error:
        raise RecordError(f"not an answer: {error}") from None


def outcome(value: bytes | None) -> Outcome:
    """Read a record of ``outcomes``, or raise :class:`RecordError`."""
    try:
        return _OUTCOMES.decode(value or b"")
    except _UNREADABLE as error:
        raise RecordError(f"not an outcome: {error}") from None


def metric(value: bytes | None) -> Metric | None:
    """Read a record of ``metrics``; None for one of a kind not known here. Raises :class:`RecordError`."""
    try:
        decoder = _METRICS.get(_KINDS.decode(value or b"").kind)
        return decoder.decode(value or b"") if decoder else None
    except _UNREADABLE as error:
        raise RecordError(f"not a metric: {error}") from None
