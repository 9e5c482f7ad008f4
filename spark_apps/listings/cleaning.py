"""Raw text to values, in one place: SQL expressions that training and the saved model both use.

Every cleaned column is called ``clean_<name>`` so that it can stand beside the raw one. An expression
never throws (Spark 4 casts in ANSI mode, hence ``try_cast`` alone): what cannot be read is null. A number
is read as a decimal of fifteen digits, which leaves no room for NaN, infinity or 1e300, and uses neither a
regular expression nor its own argument twice: this runs for every request.
"""

from __future__ import annotations

MISSING = "('', '--', 'None')"


def _number(column: str, unit: str = "") -> str:
    text = f"replace({column}, ' {unit}', '')" if unit else column
    return f"CAST(try_cast({text} AS DECIMAL(15, 4)) AS DOUBLE)"


def _before(column: str, unit: str) -> str:
    """Return the number before ``unit``: of "177 hp @ 5,750 RPM" the 177."""
    text = f"replace(substring_index({column}, ' {unit}', 1), ',', '')"
    return f"CAST(try_cast({text} AS DECIMAL(15, 4)) AS DOUBLE)"


def _rpm(column: str) -> str:
    """Return the revolutions a minute after the "@", null where there is none."""
    text = f"replace(substring_index(substring_index({column}, '@ ', -1), ' RPM', 1), ',', '')"
    return f"CAST(try_cast({text} AS DECIMAL(15, 4)) AS DOUBLE)"


def _flag(column: str) -> str:
    return f"CAST(try_cast({column} AS BOOLEAN) AS DOUBLE)"


def _category(column: str) -> str:
    return f"CASE WHEN trim({column}) IN {MISSING} THEN NULL ELSE lower(trim({column})) END"


def _date_as_years(column: str) -> str:
    """Return a date as a year with its fraction: 2020-07-01 is 2020.5."""
    return f"1970 + CAST(unix_date(try_cast({column} AS DATE)) AS DOUBLE) / 365.2425"


_OPTIONS = "CASE WHEN startswith(major_options, '[') AND endswith(major_options, ']') THEN major_options END"
_OPTION_COUNT = f"""CASE WHEN major_options = '[]' THEN 0D
  ELSE CAST(length({_OPTIONS}) - length(replace({_OPTIONS}, ', ', ',')) + 1 AS DOUBLE) END"""

# Who built the car, and the first three of the five characters by which that maker describes what (ISO 3779).
_DESCRIPTOR = "CASE WHEN length(trim(vin)) = 17 THEN lower(left(trim(vin), 6)) END"

_INCHES = ("back_legroom", "bed_length", "front_legroom", "height", "length", "wheelbase", "width")
_PLAIN_NUMBERS = (
    "city_fuel_economy", "combine_fuel_economy", "daysonmarket", "engine_displacement",
    "highway_fuel_economy", "horsepower", "latitude", "longitude", "mileage", "owner_count", "price",
    "seller_rating", "year",
)  # fmt: skip
FLAGS = (
    "fleet", "frame_damaged", "franchise_dealer", "has_accidents", "isCab", "is_cpo", "is_new", "is_oemcpo",
    "salvage", "theft_title",
)  # fmt: skip
_CATEGORIES = (
    "bed", "body_type", "cabin", "engine_type", "fuel_type", "listing_color", "make_name", "model_name",
    "transmission", "transmission_display", "trim_name", "wheel_system",
)  # fmt: skip

# What can be named as unreadable: cleaned name -> (raw column, SQL). Lengths in inches, volumes in US
# gallons, displacement in cubic centimetres, economy in miles a gallon, torque in pound-feet, price in
# dollars, listed in years; flags are 1 or 0.
_READ: dict[str, tuple[str, str]] = {
    **{name: (name, _number(name, "in")) for name in _INCHES},
    **{name: (name, _number(name)) for name in _PLAIN_NUMBERS},
    **{name: (name, _flag(name)) for name in FLAGS},
    "fuel_tank_volume": ("fuel_tank_volume", _number("fuel_tank_volume", "gal")),
    "maximum_seating": ("maximum_seating", _number("maximum_seating", "seats")),
    "power_hp": ("power", _before("power", "hp")),
    "torque_lbft": ("torque", _before("torque", "lb-ft")),
    "listed": ("listed_date", _date_as_years("listed_date")),
    "options": ("major_options", _OPTION_COUNT),
}

CLEAN: dict[str, str] = {
    **{name: sql for name, (_, sql) in _READ.items()},
    "power_rpm": _rpm("power"),
    "torque_rpm": _rpm("torque"),
    "option_list": _OPTIONS,
    **{name: _category(name) for name in _CATEGORIES},
    "vin_descriptor": _DESCRIPTOR,
}

# The cleaned columns that are numbers, in their own units, rather than flags or texts.
NUMBERS: tuple[str, ...] = tuple(
    name for name in CLEAN if name not in {*FLAGS, *_CATEGORIES, "option_list", "vin_descriptor"}
)

#: The column with what :func:`unreadable` says.
UNREADABLE = "unreadable"

# The raw columns that anything is read from; other ids, addresses, savings_amount and free text are not.
USED_COLUMNS: tuple[str, ...] = tuple(sorted({raw for raw, _ in _READ.values()} | {*_CATEGORIES, "vin"}))


def clean_columns(names: tuple[str, ...] | None = None) -> list[str]:
    """Return ``<sql> AS clean_<name>`` for ``names`` (all unless told), ready for a SELECT."""
    return [f"{CLEAN[name]} AS clean_{name}" for name in (names if names is not None else CLEAN)]


def unreadable() -> str:
    """Return SQL for the raw columns whose value was there and could not be read, as "a, b".

    Needs: the raw columns as text, and what :func:`clean_columns` makes of them. A price is not looked at: a
    request needs none.
    """
    names = [
        f"CASE WHEN clean_{name} IS NULL AND trim({raw}) NOT IN {MISSING} THEN '{raw}' END"
        for name, (raw, _) in _READ.items()
        if name != "price"
    ]
    return f"concat_ws(', ', {', '.join(names)})"  # passes over nulls
