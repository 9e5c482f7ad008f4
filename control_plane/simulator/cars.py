"""Draws cars with their history, seller and price: all numbers of a chunk of listings, no texts yet."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from control_plane.simulator.dealers import Dealers, load_dealers
from control_plane.simulator.facts import (
    CRAWL_YEAR,
    FIRST_YEAR,
    Bools,
    Facts,
    Floats,
    Ints,
    load_facts,
    rows_of,
)
from control_plane.simulator.options import load_options
from control_plane.simulator.price import market_log_price, spread
from control_plane.simulator.versions import Versions, generation, load_versions

#: Shares of cars of a model year that are sold as new.
_NEW_SHARES = {2021: 0.995, 2020: 0.9, 2019: 0.12, 2018: 0.007}
_ACCIDENT, _FRAME, _SALVAGE, _THEFT, _FLEET, _CAB_IF_FLEET = 0.15, 0.009, 0.006, 0.004, 0.2, 0.9
_EFFECTS = {
    "accident": -0.06,
    "frame": -0.15,
    "salvage": -0.25,
    "theft": -0.12,
    "fleet": -0.025,
    "owner": -0.02,
}
_CERTIFIED_EFFECT, _WAITING_EFFECT = 0.03, -0.008
_FRANCHISE_EFFECT, _INDEPENDENT_EFFECT = 0.01, -0.019
_USED_AT_FRANCHISE, _SAME_MAKE = 0.655, 0.45
_PRIVATE = 0.0006  # of used cars
_WAITING_LOG_MEDIAN, _WAITING_LOG_SPREAD = 3.7, 1.1
_LEAST_PRICE = 300.0
_FLEET_AGE_MOST, _CERTIFIED_AGE_MOST = 6, 7
_CERTIFIED = (0.36, 0.14)  # of young used cars at a franchise of their make, of another make
_CHARM_FROM, _CHARM = 2_000, 0.5
#: Slips as they stand in the real file: placeholders, cents taken for dollars, a monthly rate or a deposit.
WRONG_PRICES = (999_995.0, 165.0, 999_999.0, 484.0, 2_698_500.0, 200.0, 799_900.0, 350.0)


@dataclass(frozen=True)
class History:
    """What happened to each car before it was listed; new cars have one owner and nothing else."""

    owners: Ints
    accident: Bools
    frame: Bools
    salvage: Bools
    theft: Bools
    fleet: Bools
    cab: Bools


@dataclass(frozen=True)
class Cars:
    """One entry a listing; ``median`` of its price given all attributes, and ``noise``, the log spread."""

    model: Ints
    year: Ints
    version: Ints
    new: Bools
    miles: Ints
    history: History
    dealer: Ints
    private: Bools
    certified: Bools
    maker_certified: Bools
    options: Bools
    colour: Ints
    days_on_market: Ints
    median: Floats
    noise: Floats
    price: Floats

    @property
    def expected(self) -> Floats:
        """Mean of the price given all attributes: what the best possible model would predict."""
        return np.asarray(self.median * np.exp(self.noise**2 / 2))


def draw_cars(rows: int, rng: np.random.Generator) -> Cars:
    """``rows`` listings with right prices."""
    facts, versions, dealers = load_facts(), load_versions(), load_dealers()
    model = _models(facts, rows, rng)
    year = FIRST_YEAR + _pick(facts.models.year_cdf, model, rng)
    version = _versions(versions, model, year, rng)
    age = (CRAWL_YEAR - year).astype(float)
    new = rng.random(rows) < _new_share(year)
    miles = _miles(facts, model, age, new, rng)
    history, history_effect = _history(age, new, rng)
    dealer, certified, maker_certified, seller_effect = _sellers(facts, dealers, model, age, new, rng)
    chance = load_options().chance(versions.richness[version], year)
    fitted = rng.random(chance.shape) < chance
    colour, colour_effect = _colours(rows, rng)
    wait = rng.standard_normal(rows)
    log_median = (
        market_log_price(facts, model, age, miles.astype(float), new)
        + versions.premium[version]
        + history_effect
        + seller_effect
        + (fitted - chance) @ load_options().effect
        + colour_effect
        + _WAITING_EFFECT * wait
    )
    noise = spread(age, new)
    median = np.maximum(np.exp(log_median), _LEAST_PRICE)
    price = _as_dealers_round(median * np.exp(noise * rng.standard_normal(rows)), new, rng)
    on_sale = np.maximum(30, 365 * (CRAWL_YEAR + 1.5 - year)).astype(np.int64)
    days = np.exp(_WAITING_LOG_MEDIAN + _WAITING_LOG_SPREAD * wait).astype(np.int64)
    return Cars(
        history=history,
        model=model,
        year=year,
        version=version,
        new=new,
        miles=miles,
        dealer=dealer,
        private=~new & (dealer >= dealers.franchised) & (rng.random(rows) < _PRIVATE),
        certified=certified,
        maker_certified=maker_certified,
        options=fitted,
        colour=colour,
        days_on_market=np.minimum(np.minimum(days, on_sale), 1_900),
        median=median,
        noise=noise,
        price=price,
    )


def with_wrong_prices(cars: Cars, wrong: list[int], first: int) -> Cars:
    """The same cars with absurd prices in the rows ``wrong``; ``first`` counts the wrong prices so far."""
    price = cars.price.copy()
    for i, row in enumerate(wrong):
        price[row] = WRONG_PRICES[(first + i) % len(WRONG_PRICES)]
    return replace(cars, price=price)


def _models(facts: Facts, rows: int, rng: np.random.Generator) -> Ints:
    cdf = np.cumsum(facts.models.listings)
    return np.asarray(np.searchsorted(cdf, rng.random(rows) * cdf[-1], side="right"))


def _pick(cdf: Floats, which: Ints, rng: np.random.Generator) -> Ints:
    """A column drawn from the cumulative row ``which`` of each listing, by one search over all rows."""
    rising = (cdf + np.arange(len(cdf))[:, None]).ravel()
    found = np.searchsorted(rising, which + rng.random(len(which)), side="right")
    return np.asarray(np.minimum(found - which * cdf.shape[1], cdf.shape[1] - 1))


def _versions(versions: Versions, model: Ints, year: Ints, rng: np.random.Generator) -> Ints:
    group = versions.group_of[model, generation(year)]
    return np.asarray(np.searchsorted(versions.cdf, group + rng.random(len(group)), side="right"))


def _new_share(year: Ints) -> Floats:
    shares = np.zeros(len(year))
    for model_year, share in _NEW_SHARES.items():
        shares[year == model_year] = share
    return shares


def _miles(facts: Facts, model: Ints, age: Floats, new: Bools, rng: np.random.Generator) -> Ints:
    """Delivery miles for new cars; for used ones by the quantiles of their age, scaled by the make's use."""
    table = facts.mileage
    at = np.interp(age, table.ages, np.arange(len(table.ages)))
    below = np.minimum(at.astype(np.int64), len(table.ages) - 2)
    u, n = rng.random(len(model)), len(table.probabilities)
    left = np.clip(np.searchsorted(table.probabilities, u, side="right") - 1, 0, n - 2)
    along = (u - table.probabilities[left]) / (table.probabilities[left + 1] - table.probabilities[left])

    def quantile(row: Ints) -> Floats:
        return np.asarray(table.log_miles[row, left] * (1 - along) + table.log_miles[row, left + 1] * along)

    log_miles = quantile(below) + (at - below) * (quantile(below + 1) - quantile(below))
    used = np.exp(log_miles + facts.makes.usage[facts.models.make_id[model]])
    delivery = np.minimum(rng.gamma(0.7, 12.0, len(model)), 290.0)
    return np.where(new, delivery, np.clip(used, 1.0, 450_000.0)).astype(np.int64)


def _history(age: Floats, new: Bools, rng: np.random.Generator) -> tuple[History, Floats]:
    """Owners and incidents of used cars, and their effect on the log price (mean zero at every age)."""
    used, n = ~new, len(age)
    more_owners = np.where(used, np.minimum(0.16 * np.maximum(age, 0.0), 2.2), 0.0)
    owners = 1 + np.minimum(rng.poisson(more_owners), 12)
    chances = {
        "accident": np.full(n, _ACCIDENT),
        "frame": np.full(n, _FRAME),
        "salvage": np.full(n, _SALVAGE),
        "theft": np.full(n, _THEFT),
        "fleet": np.where(age < _FLEET_AGE_MOST, _FLEET, 0.4 * _FLEET),
    }
    effect = _EFFECTS["owner"] * (owners - 1 - more_owners)
    happened: dict[str, Bools] = {}
    for name, chance in chances.items():
        happened[name] = used & (rng.random(n) < chance)
        effect += _EFFECTS[name] * (happened[name] - chance * used)
    cab = happened["fleet"] & (rng.random(n) < _CAB_IF_FLEET)
    return History(owners=owners, cab=cab, **happened), effect


def _sellers(
    facts: Facts, dealers: Dealers, model: Ints, age: Floats, new: Bools, rng: np.random.Generator
) -> tuple[Ints, Bools, Bools, Floats]:
    """Dealer, certified by dealer, certified by maker, and the effect of all three on the log price."""
    n, make = len(model), facts.models.make_id[model]
    own = dealers.count_of_make[make] > 0
    at_franchise = new | (rng.random(n) < _USED_AT_FRANCHISE)
    same_make = own & (new | (rng.random(n) < _SAME_MAKE))
    u = rng.random(n)
    of_make = dealers.first_of_make[make] + (u * dealers.count_of_make[make]).astype(np.int64)
    any_franchise = (u * dealers.franchised).astype(np.int64)
    independent = dealers.franchised + (u * (dealers.count - dealers.franchised)).astype(np.int64)
    dealer = np.where(at_franchise, np.where(same_make, of_make, any_franchise), independent)
    may_certify = ~new & (age < _CERTIFIED_AGE_MOST) & at_franchise
    certified = may_certify & (rng.random(n) < np.where(same_make, *_CERTIFIED))
    maker_certified = certified & same_make
    kind = np.where(at_franchise, _FRANCHISE_EFFECT, _INDEPENDENT_EFFECT)
    effect = dealers.effect[dealer] + np.where(new, 0.0, kind)
    effect += _CERTIFIED_EFFECT * (certified - may_certify * np.where(same_make, *_CERTIFIED))
    return dealer, certified, maker_certified, effect


def _colours(rows: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    share, effect = _colour_table()
    colour = rng.choice(len(share), rows, p=share)
    return colour, effect[colour] - share @ effect


@lru_cache(maxsize=1)
def _colour_table() -> tuple[Floats, Floats]:
    table = rows_of("colours")
    share = np.array([float(row["share"]) for row in table])
    return share / share.sum(), np.array([float(row["effect"]) for row in table])


def _as_dealers_round(price: Floats, new: Bools, rng: np.random.Generator) -> Floats:
    """Whole dollars; half of the used cars end in 95, 98 or 00, as dealers like it."""
    endings = np.array([-5.0, -2.0, 0.0])[rng.integers(0, 3, len(price))]
    charming = ~new & (price > _CHARM_FROM) & (rng.random(len(price)) < _CHARM)
    return np.maximum(np.where(charming, np.round(price / 100) * 100 + endings, np.round(price)), 100.0)
