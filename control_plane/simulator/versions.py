"""The spec sheet: every version (model, generation, trim, drive) with its texts and its effect on the price.

The sheet is the same in every run; only the drawing of listings from it depends on the seed.
"""

# ruff: noqa: PLR2004 -- the numbers are the subject here: which car has how many gears, seats and trims

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from control_plane.simulator.engines import Engine, engine_for, is_heavy
from control_plane.simulator.facts import (
    CRAWL_YEAR,
    FIRST_YEAR,
    LAST_YEAR,
    Facts,
    Floats,
    Ints,
    Texts,
    load_facts,
    rows_of,
    texts,
)

GENERATION_YEARS = 7
GENERATIONS = (LAST_YEAR - FIRST_YEAR) // GENERATION_YEARS + 1
_SHEET_SEED = 66
_DRIVES = {
    "FWD": "Front-Wheel Drive",
    "AWD": "All-Wheel Drive",
    "4WD": "Four-Wheel Drive",
    "RWD": "Rear-Wheel Drive",
    "4X2": "4X2",
}
_FOUR_DRIVEN_PREMIUM = 0.05
_TRUCK_TRIM_RANGE, _CAR_TRIM_RANGE = 0.42, 0.26

Shape = tuple[float, ...]
#: Inches of length, width, height, wheelbase, front and back leg room; gallons; seats.
_SHAPES: dict[str, Shape] = {
    "Pickup Truck": (228.0, 80.0, 76.0, 144.0, 43.9, 40.0, 26.0, 5),
    "SUV / Crossover": (183.0, 75.5, 67.0, 108.0, 41.3, 38.3, 16.0, 5),
    "Sedan": (190.0, 72.5, 57.3, 110.0, 42.4, 37.2, 15.3, 5),
    "Coupe": (184.0, 74.0, 53.5, 106.0, 42.6, 30.5, 15.8, 4),
    "Convertible": (172.0, 70.0, 51.5, 98.0, 42.5, 0.0, 13.9, 2),
    "Hatchback": (165.0, 69.5, 59.0, 102.0, 41.8, 35.6, 11.6, 5),
    "Wagon": (187.0, 73.0, 59.0, 109.0, 42.2, 37.3, 16.2, 5),
    "Minivan": (202.0, 78.6, 69.0, 119.0, 41.0, 38.5, 19.5, 7),
    "Van": (224.0, 80.5, 88.0, 138.0, 41.0, 0.0, 25.0, 2),
}
# fmt: off
SPEC_COLUMNS = (
    "back_legroom", "body_type", "bed", "bed_height", "bed_length", "cabin", "city_fuel_economy",
    "engine_cylinders", "engine_displacement", "front_legroom", "fuel_tank_volume", "fuel_type", "height",
    "highway_fuel_economy", "horsepower", "length", "maximum_seating", "power", "torque", "transmission",
    "transmission_display", "trimId", "trim_name", "wheel_system", "wheel_system_display", "wheelbase",
    "width",
)
# fmt: on


@dataclass(frozen=True)
class Versions:
    """One entry a version; ``columns`` are its texts in the dataset's form.

    ``group`` starts of (model, generation) in ``cdf`` are looked up by ``group_of``; ``cdf`` rises from g to
    g + 1 within the g-th group, so that one search draws a version for any group. ``premium`` is the
    log-price effect of the trim and drive, with mean zero in each group; ``richness`` from 0 (plain) to 1
    says how well equipped it is.
    """

    cdf: Floats
    group_of: Ints  # (models, generations)
    premium: Floats
    richness: Floats
    columns: dict[str, Texts]


def generation(year: Ints) -> Ints:
    """Index of the generation that a model year belongs to."""
    return (year - FIRST_YEAR) // GENERATION_YEARS


@dataclass(frozen=True)
class _Trim:
    name: str
    drive: str
    share: float
    premium: float
    rank: float


@lru_cache(maxsize=1)
def load_versions() -> Versions:
    """Lay out the sheet once a process (about a second)."""
    facts = load_facts()
    rng = np.random.default_rng(_SHEET_SEED)
    names = {(row["make"], row["kind"]): row["trims"].split("|") for row in rows_of("trims")}
    group_of = np.full((len(facts.models.model), GENERATIONS), -1)
    cdf: list[float] = []
    premium: list[float] = []
    richness: list[float] = []
    columns: dict[str, list[str]] = {name: [] for name in SPEC_COLUMNS}
    groups = 0
    for model in range(len(facts.models.model)):
        trims = _trims(facts, model, names, rng)
        shape = _shape(facts, model, rng)
        gears = int(rng.integers(0, 4))
        for g in _generations(facts, model):
            group_of[model, g] = groups
            cdf += list(groups + np.cumsum([trim.share for trim in trims]))
            cdf[-1] = groups + 1.0
            premium += [trim.premium for trim in trims]
            richness += [trim.rank for trim in trims]
            for trim in trims:
                _append_texts(columns, facts, model, g, trim, shape, gears)
            groups += 1
    spec = {name: texts([*values, ""]) for name, values in columns.items()}
    return Versions(np.array(cdf), group_of, np.array(premium), np.array(richness), spec)


def _generations(facts: Facts, model: int) -> list[int]:
    shares = np.diff(facts.models.year_cdf[model], prepend=0.0)
    return sorted({int(year) // GENERATION_YEARS for year in np.flatnonzero(shares > 0)})


def _trims(
    facts: Facts, model: int, names: dict[tuple[str, str], list[str]], rng: np.random.Generator
) -> list[_Trim]:
    models = facts.models
    make, truck = models.make[model], bool(models.truck[model]) or models.body[model] == "Pickup Truck"
    kind = "truck" if truck else "car"
    known = names.get((make, kind)) or names.get((make, "car")) or names["-", kind]
    count = int(np.searchsorted([150, 1000, 5000, 20_000], models.listings[model])) + 2
    chosen = known[: max(2, min(count, len(known)))]
    drives = _drives(make, models.body[model], truck, bool(models.luxury[model]))
    width = _TRUCK_TRIM_RANGE if truck else _CAR_TRIM_RANGE
    popular = rng.dirichlet(4.0 * np.array([2.0, 3.0, 2.5, 1.6, 1.0, 0.7])[: len(chosen)])
    trims: list[_Trim] = []
    for i, name in enumerate(chosen):
        rank = i / (len(chosen) - 1)
        for drive, part in drives:
            better = _FOUR_DRIVEN_PREMIUM if drive in ("AWD", "4WD") and len(drives) > 1 else 0.0
            trims.append(_Trim(f"{name} {drive}", drive, popular[i] * part, width * rank + better, rank))
    mean = sum(trim.share * trim.premium for trim in trims)
    return [_Trim(t.name, t.drive, t.share, t.premium - mean, t.rank) for t in trims]


def _drives(make: str, body: str, truck: bool, luxury: bool) -> list[tuple[str, float]]:
    if make == "Subaru":
        return [("AWD", 1.0)]
    if truck:
        return (
            [("4WD", 0.7), ("RWD", 0.2), ("4X2", 0.1)]
            if body == "Pickup Truck"
            else [("4WD", 0.95), ("RWD", 0.05)]
        )
    if body == "SUV / Crossover":
        return [("FWD", 0.48), ("AWD", 0.46), ("4WD", 0.06)] if not luxury else [("AWD", 0.8), ("FWD", 0.2)]
    if body in ("Coupe", "Convertible", "Van"):
        return [("RWD", 1.0)]
    return [("RWD", 0.45), ("AWD", 0.55)] if luxury else [("FWD", 1.0)]


def _shape(facts: Facts, model: int, rng: np.random.Generator) -> Shape:
    """The body's usual measures, a little longer for dearer models and different for each."""
    models = facts.models
    usual = np.array(_SHAPES[models.body[model]])
    longer = 1 + 0.06 * np.clip(np.log(models.mean_price[model] / 25_000), -1.0, 1.0)
    varied = usual * (1 + rng.normal(0.0, 0.018, len(usual)))
    varied[[0, 3, 6]] *= longer
    varied[7] = (
        7 if models.body[model] == "SUV / Crossover" and models.mean_price[model] > 29_000 else usual[7]
    )
    if is_heavy(models.model[model]) and models.body[model] == "Van":
        varied[7] = rng.choice([2, 12, 15])
    return tuple(varied.tolist())


def _append_texts(
    columns: dict[str, list[str]], facts: Facts, model: int, g: int, trim: _Trim, shape: Shape, gears: int
) -> None:
    models = facts.models
    age = float(CRAWL_YEAR - (FIRST_YEAR + g * GENERATION_YEARS + GENERATION_YEARS // 2))
    new_price = float(np.exp(models.level[model]) * 1.15)
    engine = engine_for(
        models.make[model], models.model[model], models.body[model], new_price, trim.rank, age
    )
    values = {
        "body_type": models.body[model],
        "trim_name": trim.name,
        "trimId": f"t{20_000 + len(columns['trimId'])}",
        "wheel_system": trim.drive,
        "wheel_system_display": _DRIVES[trim.drive],
        **_engine_texts(engine),
        **_shape_texts(shape, age, engine.fuel == "Electric"),
        **_bed_texts(models.body[model], g, len(columns["bed"])),
        **_transmission_texts(engine, models.body[model], age, gears, trim.rank),
    }
    for name in SPEC_COLUMNS:
        columns[name].append(values[name])


@lru_cache(maxsize=16)
def _engine_texts(engine: Engine) -> dict[str, str]:
    rated = engine.city_mpg > 0
    return {
        "city_fuel_economy": f"{engine.city_mpg}.0" if rated else "",
        "highway_fuel_economy": f"{engine.highway_mpg}.0" if rated else "",
        "engine_cylinders": engine.cylinders,
        "engine_displacement": f"{engine.litres * 1000:.1f}" if engine.litres else "",
        "fuel_type": engine.fuel,
        "horsepower": f"{engine.horsepower}.0",
        "power": f"{engine.horsepower} hp @ {engine.power_rpm:,} RPM",
        "torque": f"{engine.torque} lb-ft @ {engine.torque_rpm:,} RPM",
    }


@lru_cache(maxsize=16)
def _shape_texts(shape: Shape, age: float, electric: bool) -> dict[str, str]:
    grown = [measure * (1 - 0.0012 * age) for measure in shape]
    return {
        "length": f"{grown[0]:.4g} in",
        "width": f"{grown[1]:.3g} in",
        "height": f"{grown[2]:.3g} in",
        "wheelbase": f"{grown[3]:.4g} in",
        "front_legroom": f"{shape[4]:.3g} in",
        "back_legroom": f"{shape[5]:.3g} in" if shape[5] > 0 else "--",
        "fuel_tank_volume": "--" if electric else f"{shape[6]:.3g} gal",
        "maximum_seating": f"{int(shape[7])} seats",
    }


def _bed_texts(body: str, g: int, serial: int) -> dict[str, str]:
    if body != "Pickup Truck":
        return {"bed": "", "bed_height": "", "bed_length": "", "cabin": ""}
    lengths = ("67.1 in", "76.3 in", "69.3 in", "78.7 in", "60.5 in", "97.6 in", "65 in", "--")
    cabins = ("Crew Cab", "Crew Cab", "Extended Cab", "Regular Cab", "Quad Cab")
    return {
        "bed": ("Short", "Short", "Regular", "Long")[serial % 4],
        "bed_height": "--",
        "bed_length": lengths[(serial * 5 + g) % len(lengths)],
        "cabin": cabins[serial % len(cabins)],
    }


def _transmission_texts(engine: Engine, body: str, age: float, gears: int, rank: float) -> dict[str, str]:
    if engine.fuel == "Electric":
        return {"transmission": "A", "transmission_display": "Automatic"}
    if engine.litres < 2.6 and engine.horsepower < 200 and gears in (0, 1) and age < 14:
        return {"transmission": "CVT", "transmission_display": "Continuously Variable Transmission"}
    if (body in ("Coupe", "Convertible", "Hatchback") and rank > 0.6) or age > 40:
        return {"transmission": "M", "transmission_display": f"{6 if age < 14 else 5}-Speed Manual"}
    if engine.horsepower > 430 and body == "Coupe":
        return {"transmission": "Dual Clutch", "transmission_display": "7-Speed Dual Clutch"}
    speeds = 4 if age > 18 else 5 if age > 13 else (6, 8, 9, 10)[gears] if age < 8 else 6
    overdrive = " Overdrive" if gears % 2 else ""
    return {"transmission": "A", "transmission_display": f"{speeds}-Speed Automatic{overdrive}"}
