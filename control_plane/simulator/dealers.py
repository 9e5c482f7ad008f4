"""The sellers: each with one place, one name, one rating and, if franchised, one make."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from control_plane.simulator.facts import Facts, Floats, Ints, Texts, load_facts, rows_of, texts

# fmt: off
DEALER_COLUMNS = (
    "city", "dealer_zip", "latitude", "longitude", "franchise_make", "franchise_dealer", "seller_rating",
    "sp_id", "sp_name",
)
# fmt: on

FRANCHISED, INDEPENDENT = 16_500, 10_500
_DEALERS_SEED = 27_097
#: Makes whose new cars were on sale in 2020 have at least this share of their listings in that year or later.
_ON_SALE_SHARE = 0.08
#: Column of ``year_cdf`` that holds everything before 2020.
_BEFORE_2020 = -3
_NO_RATING_SHARE = 0.0136
# fmt: off
_OWNERS = (
    "Miller", "Hansen", "Bradley", "Crestview", "Lakeside", "Parkway", "Summit", "Heritage", "Liberty",
    "Walker", "Griffin", "Sullivan", "Pinnacle", "Riverside", "Frontier", "Bluebonnet", "Coastal",
    "Evergreen", "Gateway", "Hillside", "Ironwood", "Keystone", "Landmark", "Meridian", "Northgate",
    "Oakridge", "Prairie", "Redwood", "Sterling", "Tidewater", "Valley", "Westbrook", "Yorktown",
    "Ashford", "Beckett", "Cartwright", "Dawson", "Ellison",
)
# fmt: on
_SURROUNDINGS = (
    "",
    "",
    "",
    "North ",
    "South ",
    "East ",
    "West ",
    "Lake ",
    "New ",
    "Mount ",
    "Fort ",
    "Upper ",
)
_INDEPENDENT_NAMES = (
    "{owner} Auto Sales",
    "{owner} Motors, LLC",
    "{owner} Used Cars Inc.",
    "{city} Auto Outlet",
    "{owner} & Sons Auto",
    "{owner} Car Sales - {city}",
    "{city} Pre-Owned, Inc",
)
_FRANCHISE_NAMES = (
    "{owner} {make}",
    "{make} of {city}",
    "{owner} {make} of {city}",
    "{owner}'s {city} {make}",
    "{owner} Auto Group {make}",
    "{city} {make}",
)


@dataclass(frozen=True)
class Dealers:
    """One entry a dealer, the franchised first and by make; ``effect`` on the log price has mean 0."""

    columns: dict[str, Texts]  # texts in the dataset's form; the last entry of each is empty
    effect: Floats
    first_of_make: Ints
    count_of_make: Ints

    @property
    def franchised(self) -> int:
        """How many sell new cars."""
        return int(self.count_of_make.sum())

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.effect)


@lru_cache(maxsize=1)
def load_dealers() -> Dealers:
    """The same dealers in every run, whatever the seed of the listings."""
    facts = load_facts()
    rng = np.random.default_rng(_DEALERS_SEED)
    counts = _franchises(facts)
    make_ids = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.full(INDEPENDENT, -1)])
    cities = rows_of("cities")
    weights = np.array([float(row["weight"]) for row in cities])
    where = rng.choice(len(cities), len(make_ids), p=weights / weights.sum())
    region = np.array([float(row["effect"]) for row in cities])
    region -= (weights * region).sum() / weights.sum()
    columns = _texts(facts, cities, where, make_ids, rng)
    effect = region[where] + rng.normal(0.0, 0.012, len(make_ids))
    return Dealers(columns, effect, np.cumsum(counts) - counts, counts)


def _franchises(facts: Facts) -> Ints:
    """Dealers a make, by the listings of the models it still sells."""
    models = facts.models
    current = 1 - models.year_cdf[:, _BEFORE_2020]
    sold = np.bincount(models.make_id, weights=models.listings * current, minlength=len(facts.makes.make))
    total = np.bincount(models.make_id, weights=models.listings, minlength=len(facts.makes.make))
    active = sold > _ON_SALE_SHARE * total
    shares = np.where(active, sold, 0.0) / np.where(active, sold, 0.0).sum()
    return np.where(active, np.maximum(1, np.round(shares * FRANCHISED)), 0).astype(np.int64)


def _texts(
    facts: Facts, cities: list[dict[str, str]], where: Ints, make_ids: Ints, rng: np.random.Generator
) -> dict[str, Texts]:
    n = len(where)
    near = rng.normal(0.0, 0.12, (n, 2))
    surrounding = rng.integers(0, len(_SURROUNDINGS), n)
    zips = rng.integers(0, 100, n)
    reviews, mean_stars = rng.integers(1, 90, n), np.clip(rng.normal(4.25, 0.45, n), 1.5, 5.0)
    unrated = rng.random(n) < _NO_RATING_SHARE
    as_float = rng.integers(0, 2, n) == 1
    owners, styles = rng.integers(0, len(_OWNERS), n), rng.integers(0, 1000, n)
    columns: dict[str, list[str]] = {name: [] for name in DEALER_COLUMNS}
    for i in range(n):
        city = cities[where[i]]
        town = _SURROUNDINGS[surrounding[i]] + city["city"]
        make = facts.makes.make[make_ids[i]] if make_ids[i] >= 0 else ""
        names = _FRANCHISE_NAMES if make else _INDEPENDENT_NAMES
        stars = round(float(mean_stars[i] * reviews[i])) / int(reviews[i])
        number = 43_000 + 15 * i
        row = {
            "city": town,
            "dealer_zip": f"{city['zip_prefix']}{zips[i]:02d}",
            "latitude": repr(round(float(city["latitude"]) + float(near[i, 0]), 4)),
            "longitude": repr(round(float(city["longitude"]) + float(near[i, 1]), 4)),
            "franchise_make": make,
            "franchise_dealer": "True" if make else "False",
            "seller_rating": "" if unrated[i] else repr(min(stars, 5.0)),
            "sp_id": f"{number}.0" if as_float[i] else f"{number}",
            "sp_name": names[styles[i] % len(names)].format(owner=_OWNERS[owners[i]], make=make, city=town),
        }
        for name, value in row.items():
            columns[name].append(value)
    return {name: texts([*values, ""]) for name, values in columns.items()}
