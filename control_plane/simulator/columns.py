"""The 66 columns of the dataset: from the numbers of a chunk of cars to the texts of the file."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from control_plane.simulator.cars import Cars
from control_plane.simulator.dealers import DEALER_COLUMNS, load_dealers
from control_plane.simulator.facts import Bools, Floats, Ints, Texts, load_facts, rows_of, texts
from control_plane.simulator.options import load_options
from control_plane.simulator.versions import SPEC_COLUMNS, load_versions
from control_plane.simulator.vins import vins
from control_plane.simulator.wording import FEATURES, GREETINGS, INTERIORS, PRAISES

# fmt: off
COLUMNS = (
    "vin", "back_legroom", "bed", "bed_height", "bed_length", "body_type", "cabin", "city",
    "city_fuel_economy", "combine_fuel_economy", "daysonmarket", "dealer_zip", "description",
    "engine_cylinders", "engine_displacement", "engine_type", "exterior_color", "fleet", "frame_damaged",
    "franchise_dealer", "franchise_make", "front_legroom", "fuel_tank_volume", "fuel_type",
    "has_accidents", "height", "highway_fuel_economy", "horsepower", "interior_color", "isCab",
    "is_certified", "is_cpo", "is_new", "is_oemcpo", "latitude", "length", "listed_date", "listing_color",
    "listing_id", "longitude", "main_picture_url", "major_options", "make_name", "maximum_seating",
    "mileage", "model_name", "owner_count", "power", "price", "salvage", "savings_amount",
    "seller_rating", "sp_id", "sp_name", "theft_title", "torque", "transmission", "transmission_display",
    "trimId", "trim_name", "vehicle_damage_category", "wheel_system", "wheel_system_display", "wheelbase",
    "width", "year",
)
# fmt: on

#: A listing whose trim the crawler could not tell lacks more and more columns: each goes missing where the
#: row's obscurity (uniform between 0 and 1) is below the column's bound, so that what is missing is missing
#: together.
_OBSCURED_BELOW = {
    "transmission": 0.0214,
    "transmission_display": 0.0214,
    "fuel_type": 0.0276,
    "engine_cylinders": 0.0295,
    "trimId": 0.0386,
    "trim_name": 0.0388,
    "wheel_system": 0.0489,
    "wheel_system_display": 0.0489,
    "back_legroom": 0.0531,
    "front_legroom": 0.0531,
    "fuel_tank_volume": 0.0531,
    "height": 0.0531,
    "length": 0.0531,
    "maximum_seating": 0.0531,
    "wheelbase": 0.0531,
    "width": 0.0531,
    "bed_length": 0.0531,
    "bed_height": 0.0531,
    "bed": 0.0531,
    "cabin": 0.0531,
    "engine_displacement": 0.0545,
    "horsepower": 0.0575,
    "city_fuel_economy": 0.126,
    "highway_fuel_economy": 0.126,
    "power": 0.1605,
    "torque": 0.1726,
    "body_type": 0.0045,
}
_BED_TOLD, _BED_LENGTH_TOLD, _CABIN_TOLD = 0.043, 0.95, 0.141
_NO_MILES_NEW, _NO_MILES_USED = 0.085, 0.018
_NO_HISTORY_NEW, _NO_HISTORY_USED, _NO_OWNERS = 0.985, 0.062, 0.0576
_NO_DESCRIPTION, _NO_EXTERIOR, _NO_INTERIOR, _NO_PICTURE, _NO_OPTIONS = 0.026, 0.0125, 0.12, 0.123, 0.062
_EXTERIOR_NONE = 0.008
_FEATURE_LISTS, _FEATURES_SEED = 4_000, 3
_LAST_CRAWL = np.datetime64("2020-09-14")
_CRAWL_DAYS = 10
_LISTING_IDS, _LISTING_ID_STRIDE, _FIRST_LISTING_ID = 152_000_000, 38_618_593, 130_000_000


@dataclass(frozen=True)
class Column:
    """The texts of one column, as they are and as a CSV field; both may be the same list."""

    values: list[str]
    fields: list[str]


def quoted(value: str) -> str:
    """A CSV field: in quotes where it must be, quotes doubled."""
    if '"' in value:
        return '"' + value.replace('"', '""') + '"'
    return f'"{value}"' if "," in value or "\n" in value or "\r" in value else value


class Pool:
    """Texts to choose from, quoted once; the last one is empty and stands for missing."""

    def __init__(self, values: Texts) -> None:
        self._values = values
        self._fields = texts([quoted(value) for value in values])

    def take(self, code: Ints, missing: Bools | None = None) -> Column:
        """The texts that ``code`` points at, empty where ``missing``."""
        chosen = code if missing is None else np.where(missing, len(self._values) - 1, code)
        return Column(self._values[chosen].tolist(), self._fields[chosen].tolist())


def _plain(values: list[str]) -> Column:
    return Column(values, values)


def _quotable(values: list[str]) -> Column:
    return Column(values, [quoted(value) for value in values])


@dataclass(frozen=True)
class _Pools:
    spec: dict[str, Pool]
    seller: dict[str, Pool]
    make: Pool
    model: Pool
    exterior: Pool
    exterior_first: Ints  # of each listing colour
    exterior_count: Ints
    listing_color: Pool
    interior: Pool
    features: Texts
    numbers: Pool
    dates: Pool


@lru_cache(maxsize=1)
def _pools() -> _Pools:
    models, dealers, spec = load_facts().models, load_dealers(), load_versions().columns
    colours = rows_of("colours")
    names = [row["names"].split("|") for row in colours]
    counts = np.array([len(group) for group in names])
    dates = np.arange(_LAST_CRAWL - np.timedelta64(2_000, "D"), _LAST_CRAWL + np.timedelta64(1, "D"))
    return _Pools(
        spec={name: Pool(spec[name]) for name in SPEC_COLUMNS},
        seller={name: Pool(dealers.columns[name]) for name in DEALER_COLUMNS},
        make=Pool(texts([*models.make, ""])),
        model=Pool(texts([*models.model, ""])),
        exterior=Pool(texts([name for group in names for name in group] + ["None", ""])),
        exterior_first=np.cumsum(counts) - counts,
        exterior_count=counts,
        listing_color=Pool(texts([row["listing_color"] for row in colours])),
        interior=Pool(texts([*INTERIORS, ""])),
        features=_feature_lists(),
        numbers=Pool(texts([*map(str, range(2_000)), ""])),
        dates=Pool(texts([*map(str, dates), ""])),
    )


def _feature_lists() -> Texts:
    rng = np.random.default_rng(_FEATURES_SEED)
    lists = [rng.choice(FEATURES, rng.integers(5, 30), replace=False).tolist() for _ in range(_FEATURE_LISTS)]
    return texts([",".join(features) for features in lists])


def columns_of(cars: Cars, first_row: int, seed: int, rng: np.random.Generator) -> list[Column]:
    """The 66 columns in the dataset's order; ``first_row`` numbers the cars within the whole run."""
    pools, n = _pools(), len(cars.price)
    columns = {
        **_spec_columns(cars, pools, rng),
        **_seller_columns(cars, pools),
        **_history_columns(cars, rng),
        **_colour_columns(cars, pools, rng),
        **_date_columns(cars, pools, rng),
    }
    rows = np.arange(first_row, first_row + n)
    make_id = load_facts().models.make_id[cars.model]
    wmi = load_facts().makes.wmi[make_id]
    empty = _plain([""] * n)
    no_miles = rng.random(n) < np.where(cars.new, _NO_MILES_NEW, _NO_MILES_USED)
    columns |= {
        "vin": _plain(vins(wmi, cars.version, cars.year, rows, seed, rng)),
        "make_name": pools.make.take(cars.model),
        "model_name": pools.model.take(cars.model),
        "year": _plain([str(year) for year in cars.year.tolist()]),
        "is_new": _flag(cars.new),
        "mileage": _decimals(cars.miles, no_miles),
        "price": _decimals(cars.price.astype(np.int64), None),
        "savings_amount": _savings(cars),
        "listing_id": _listing_ids(rows, seed),
        "major_options": _options(cars, rng),
        "combine_fuel_economy": empty,
        "is_certified": empty,
        "vehicle_damage_category": empty,
    }
    columns["main_picture_url"] = _pictures(columns, rng)
    columns["description"] = _descriptions(columns, pools, rng)
    return [columns[name] for name in COLUMNS]


def _spec_columns(cars: Cars, pools: _Pools, rng: np.random.Generator) -> dict[str, Column]:
    n = len(cars.version)
    obscurity = rng.random(n)
    told = {"bed": _BED_TOLD, "bed_length": _BED_LENGTH_TOLD, "cabin": _CABIN_TOLD}
    columns: dict[str, Column] = {}
    bed_untold: Bools = np.zeros(n, dtype=bool)
    for name in SPEC_COLUMNS:
        missing = obscurity < _OBSCURED_BELOW[name]
        if name in told:
            missing |= rng.random(n) >= told[name]
        if name == "bed_height":
            bed_untold = rng.random(n) >= _BED_LENGTH_TOLD
            missing |= bed_untold
        elif name == "bed_length":
            missing = (obscurity < _OBSCURED_BELOW[name]) | bed_untold
        columns[name] = pools.spec[name].take(cars.version, missing)
    columns["engine_type"] = columns["engine_cylinders"]
    return columns


def _seller_columns(cars: Cars, pools: _Pools) -> dict[str, Column]:
    columns = {
        name: pools.seller[name].take(
            cars.dealer, cars.private if name in ("sp_id", "seller_rating") else None
        )
        for name in DEALER_COLUMNS
    }
    if cars.private.any():
        names = columns["sp_name"].values
        columns["sp_name"] = _quotable(
            ["private seller" if private else name for private, name in zip(cars.private, names, strict=True)]
        )
    return columns


def _history_columns(cars: Cars, rng: np.random.Generator) -> dict[str, Column]:
    n = len(cars.new)
    unknown = rng.random(n) < np.where(cars.new, _NO_HISTORY_NEW, _NO_HISTORY_USED)
    owners_unknown = unknown | (rng.random(n) < _NO_OWNERS)
    return {
        "fleet": _flag(cars.history.fleet, unknown),
        "frame_damaged": _flag(cars.history.frame, unknown),
        "has_accidents": _flag(cars.history.accident, unknown),
        "isCab": _flag(cars.history.cab, unknown),
        "salvage": _flag(cars.history.salvage, unknown),
        "theft_title": _flag(cars.history.theft, unknown),
        "owner_count": _decimals(cars.history.owners, owners_unknown),
        "is_cpo": _flag(cars.certified, ~cars.certified),
        "is_oemcpo": _flag(cars.maker_certified, ~cars.maker_certified),
    }


_FLAGS = Pool(texts(["False", "True", ""]))


def _flag(values: Ints | Bools, missing: Bools | None = None) -> Column:
    return _FLAGS.take(values.astype(np.int64), missing)


def _decimals(values: Ints, missing: Bools | None) -> Column:
    """Whole numbers as pandas wrote them: "1300.0"."""
    written = [f"{value}.0" for value in values.tolist()]
    if missing is not None:
        for row in np.flatnonzero(missing).tolist():
            written[row] = ""
    return _plain(written)


def _savings(cars: Cars) -> Column:
    """What a used car costs less than the market's price for it; the dataset derives it from the price."""
    less: Floats = np.where(cars.new, 0.0, np.clip(cars.expected - cars.price, 0.0, 30_000.0))
    return _plain([str(amount) for amount in less.astype(np.int64).tolist()])


def _listing_ids(rows: Ints, seed: int) -> Column:
    numbers = _FIRST_LISTING_ID + (rows * _LISTING_ID_STRIDE + seed * 1_299_709) % _LISTING_IDS
    return _plain([str(number) for number in numbers.tolist()])


def _options(cars: Cars, rng: np.random.Generator) -> Column:
    listed = load_options().listed(cars.options)
    for row in np.flatnonzero(rng.random(len(listed)) < _NO_OPTIONS).tolist():
        listed[row] = ""
    return _quotable(listed)


def _colour_columns(cars: Cars, pools: _Pools, rng: np.random.Generator) -> dict[str, Column]:
    n = len(cars.colour)
    name = pools.exterior_first[cars.colour]
    # the square prefers the first names of a colour, which are the usual ones
    name = name + (rng.random(n) ** 2 * pools.exterior_count[cars.colour]).astype(np.int64)
    none, missing = rng.random(n) < _EXTERIOR_NONE, rng.random(n) < _NO_EXTERIOR
    total = int(pools.exterior_count.sum())
    unknown = _unknown_colour()
    return {
        "exterior_color": pools.exterior.take(np.where(none, total, name), missing),
        "listing_color": pools.listing_color.take(np.where(none | missing, unknown, cars.colour)),
        "interior_color": pools.interior.take(
            rng.integers(0, len(INTERIORS), n), rng.random(n) < _NO_INTERIOR
        ),
    }


@lru_cache(maxsize=1)
def _unknown_colour() -> int:
    return [row["listing_color"] for row in rows_of("colours")].index("UNKNOWN")


def _date_columns(cars: Cars, pools: _Pools, rng: np.random.Generator) -> dict[str, Column]:
    crawled = 2_000 - rng.integers(0, _CRAWL_DAYS, len(cars.days_on_market))
    return {
        "daysonmarket": pools.numbers.take(cars.days_on_market),
        "listed_date": pools.dates.take(crawled - cars.days_on_market),
    }


def _pictures(columns: dict[str, Column], rng: np.random.Generator) -> Column:
    n = len(columns["vin"].values)
    missing, numbers = rng.random(n) < _NO_PICTURE, rng.integers(10**15, 10**18, n)
    urls = [
        ""
        if gone
        else f"https://images.example.com/forsale/{date.replace('-', '/')}/{number % 24:02d}/"
        f"{number % 60:02d}/{year}_{make}_{model}-pic-{number}-152x114.jpeg".lower().replace(" ", "_")
        for gone, number, date, year, make, model in zip(
            missing.tolist(),
            numbers.tolist(),
            columns["listed_date"].values,
            columns["year"].values,
            columns["make_name"].values,
            columns["model_name"].values,
            strict=True,
        )
    ]
    return _plain(urls)


def _descriptions(columns: dict[str, Column], pools: _Pools, rng: np.random.Generator) -> Column:
    n = len(columns["vin"].values)
    greeting, praise = rng.integers(0, len(GREETINGS), n).tolist(), rng.integers(0, len(PRAISES), n).tolist()
    features = pools.features[rng.integers(0, len(pools.features), n)].tolist()
    missing = (rng.random(n) < _NO_DESCRIPTION).tolist()
    written = [
        ""
        if gone
        else f"{GREETINGS[g]}{colour} {year} {make} {model} {trim} {gearbox}{PRAISES[p]}"
        f"[!@@Additional Info@@!]{listed}"
        for gone, g, p, listed, colour, year, make, model, trim, gearbox in zip(
            missing,
            greeting,
            praise,
            features,
            columns["exterior_color"].values,
            columns["year"].values,
            columns["make_name"].values,
            columns["model_name"].values,
            columns["trim_name"].values,
            columns["transmission_display"].values,
            strict=True,
        )
    ]
    return _quotable(written)
