"""Requests and listings as the project reads them (``spark_apps/listings/cleaning.py``), in plain Python.

For speed: msgspec decodes only the columns that are used, no regular expression, no object a value.
"""

from __future__ import annotations

import json
import math
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MISSING = frozenset(("", "--", "None"))
_NAN = math.nan
_FARTHEST = 1e11  # as a decimal of fifteen digits, four of them after the point
_FLAGS = dict.fromkeys(("t", "true", "y", "yes", "1"), 1.0) | dict.fromkeys(
    ("f", "false", "n", "no", "0"), 0.0
)
_DAYS_A_YEAR = 365.2425
_EPOCH = date(1970, 1, 1).toordinal()


def _number(text: str) -> float:
    return float(text)


def _inches(text: str) -> float:
    return float(text.replace(" in", ""))


def _gallons(text: str) -> float:
    return float(text.replace(" gal", ""))


def _seats(text: str) -> float:
    return float(text.replace(" seats", ""))


def _horsepower(text: str) -> float:
    return float(text.split(" hp", 1)[0].replace(",", ""))


def _torque(text: str) -> float:
    return float(text.split(" lb-ft", 1)[0].replace(",", ""))


def _rpm(text: str) -> float:
    return float(text.rpartition("@ ")[2].split(" RPM", 1)[0].replace(",", ""))


@lru_cache(10_000)
def _flag(text: str) -> float:
    return _FLAGS[text.strip().lower()]


@lru_cache(10_000)
def _day(text: str) -> float:
    """Return a date as a year with its fraction."""
    return 1970 + (date.fromisoformat(text.strip()).toordinal() - _EPOCH) / _DAYS_A_YEAR


def _options(text: str) -> float:
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError
    return 0.0 if text == "[]" else float(text.count(", ") + 1)


# cleaned name -> (raw column, reader), in the order in which the project names what it cannot read
_READ: dict[str, tuple[str, Callable[[str], float]]] = {
    **{
        name: (name, _inches)
        for name in (
            "back_legroom", "bed_length", "front_legroom", "height", "length", "wheelbase", "width",
        )
    },
    **{
        name: (name, _number)
        for name in (
            "city_fuel_economy", "combine_fuel_economy", "daysonmarket", "engine_displacement",
            "highway_fuel_economy", "horsepower", "latitude", "longitude", "mileage", "owner_count",
            "seller_rating", "year",
        )
    },
    **{
        name: (name, _flag)
        for name in (
            "fleet", "frame_damaged", "franchise_dealer", "has_accidents", "isCab", "is_cpo", "is_new",
            "is_oemcpo", "salvage", "theft_title",
        )
    },
    "fuel_tank_volume": ("fuel_tank_volume", _gallons),
    "maximum_seating": ("maximum_seating", _seats),
    "power_hp": ("power", _horsepower),
    "torque_lbft": ("torque", _torque),
    "listed": ("listed_date", _day),
    "options": ("major_options", _options),
}  # fmt: skip
_NAMED = len(_READ)  # what comes after these is not named where it cannot be read
_READ |= {"power_rpm": ("power", _rpm), "torque_rpm": ("torque", _rpm)}

#: The cleaned numbers, in the order of :attr:`Cleaned.numbers`, and the texts in that of its ``texts``.
NUMBERS = tuple(_READ)
TEXTS = (
    "bed", "body_type", "cabin", "engine_type", "fuel_type", "listing_color", "make_name", "model_name",
    "transmission", "transmission_display", "trim_name", "wheel_system",
)  # fmt: skip

_RAW = tuple(dict.fromkeys([*(raw for raw, _ in _READ.values()), *TEXTS]))
_SOURCES = tuple((_RAW.index(raw), raw, read) for raw, read in _READ.values())
_TEXT_PLACES = tuple(_RAW.index(raw) for raw in TEXTS)
_OPTIONS = _RAW.index("major_options")
_MAKE, _MODEL, _YEAR = TEXTS.index("make_name"), TEXTS.index("model_name"), NUMBERS.index("year")

_Listing = msgspec.defstruct("_Listing", [(raw, str | int | float | bool | None, None) for raw in _RAW])
_Request = msgspec.defstruct(
    "_Request",
    [("kind", str | None, None), ("request_id", str | None, None), ("listing", _Listing | None, None)],
)
_decode = msgspec.json.Decoder(_Request).decode


class Cleaned(NamedTuple):
    """A listing: numbers (NaN where missing), texts, its options, and the columns that could not be read."""

    numbers: list[float]
    texts: list[str | None]
    options: str
    unreadable: str


class Asked(NamedTuple):
    """A request: why it gets no price, or its listing."""

    id: str | None
    rejection: str | None
    cleaned: Cleaned | None


def asked(value: bytes | None, key: bytes | None, max_bytes: int) -> Asked | None:
    """Read a record of ``listings``; None is a price, which gets no answer."""
    named = key.decode(errors="replace") if key else None
    request = _read(value, max_bytes)
    if isinstance(request, str):
        return Asked(named, request, None)
    if request.kind == "price":
        return None
    if rejection := _rejection(request):
        return Asked(request.request_id or named, rejection, None)
    cleaned = clean(msgspec.structs.astuple(request.listing))
    required = (
        ("make_name", cleaned.texts[_MAKE] is None),
        ("model_name", cleaned.texts[_MODEL] is None),
        ("year", math.isnan(cleaned.numbers[_YEAR])),
    )
    if missing := ", ".join(name for name, is_missing in required if is_missing):
        return Asked(request.request_id, f"required columns missing: {missing}", None)
    return Asked(request.request_id, None, cleaned)


def _read(value: bytes | None, max_bytes: int) -> Any:
    """Return the request, or why it cannot be read."""
    if value is None:
        return "not JSON: the record has no value"
    if len(value) > max_bytes:
        return f"longer than {max_bytes:,} bytes"
    try:
        return _decode(value)
    except msgspec.DecodeError as error:
        return _read_with_care(value) or f"not JSON: {error}"


def _rejection(request: Any) -> str | None:
    if request.kind != "request":
        return "kind is neither request nor price"
    if not request.request_id:
        return "no usable request_id: it must be a text that is not empty"
    return "no listing: it must be an object" if request.listing is None else None


def _read_with_care(value: bytes) -> Any:
    """Read a record with values that no listing should have, as text; None when it is no JSON object."""
    try:
        record = json.loads(value)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    listing, named = record.get("listing"), record.get("request_id")
    return _Request(
        record.get("kind"),
        named if isinstance(named, str) else None,
        _listing(listing) if isinstance(listing, dict) else None,
    )


def _listing(raw: Mapping[str, Any]) -> Any:
    return _Listing(*(raw.get(name) if _is_plain(raw.get(name)) else json.dumps(raw[name]) for name in _RAW))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def of_raw(listing: Mapping[str, str]) -> Cleaned:
    """Clean a listing of the dataset's columns."""
    return clean([listing.get(name) for name in _RAW])


def clean(values: Sequence[Any]) -> Cleaned:
    """Clean the values of the used raw columns, in their order."""
    numbers, unreadable = list[float](), list[str]()
    for place, raw, read in _SOURCES:
        value = values[place]
        if value is None:
            numbers.append(_NAN)
            continue
        text = value if type(value) is str else str(value)
        try:
            number = read(text)
        except (ValueError, KeyError):
            number = _NAN
        if not -_FARTHEST < number < _FARTHEST:  # NaN and infinity too
            number = _NAN
            if len(numbers) < _NAMED and text.strip() not in MISSING:
                unreadable.append(raw)
        numbers.append(number)
    texts = list[str | None]()
    for place in _TEXT_PLACES:
        value = values[place]
        if value is not None:
            value = (value if type(value) is str else str(value)).strip()
            value = None if value in MISSING else value.lower()
        texts.append(value)
    options = str(values[_OPTIONS] or "")
    listed = options if options.startswith("[") and options.endswith("]") else ""
    return Cleaned(numbers, texts, listed, ", ".join(unreadable))
