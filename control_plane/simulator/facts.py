"""The facts of the real dataset that the generator is calibrated to, as arrays.

``tables/*.tsv`` hold aggregates only (a model's share, mean price and years; fitted price curves; quantiles
of mileage by age), never a listing. How they were fitted: ``level``, ``slope`` and ``wear`` are random
effects of a model or make in a penalised regression of log price on age and mileage, with the published mean
price of each of the 1,428 models as prior.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

FIRST_YEAR, LAST_YEAR = 1915, 2021
#: The listings were crawled in September 2020; a car's age counts from here.
CRAWL_YEAR = 2020
_RECENT_YEARS = (2021, 2020, 2019, 2018, 2017, 2016)


def texts(values: list[str]) -> Texts:
    """An object array, whatever the lengths (numpy would make fixed-width strings)."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of one table of facts."""
    with files(__package__).joinpath("tables", f"{name}.tsv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


@dataclass(frozen=True)
class Models:
    """One entry a model; ``make_id`` points into ``Makes``."""

    make: Texts
    model: Texts
    make_id: Ints
    body: Texts
    truck: Bools
    luxury: Bools
    listings: Floats
    mean_price: Floats
    level: Floats
    slope: Floats
    year_cdf: Floats  # (models, years), cumulative from FIRST_YEAR to LAST_YEAR


@dataclass(frozen=True)
class Makes:
    """One entry a make: start of its VINs, price effect of 10,000 miles, log of its use to the average."""

    make: Texts
    wmi: Texts
    wear: Floats
    usage: Floats


@dataclass(frozen=True)
class PriceCurves:
    """Piecewise linear curves of log price; columns of ``*_values``: base, truck, luxury, level (, age)."""

    age_knots: Floats
    age_values: Floats
    miles_knots: Floats
    miles_values: Floats
    new_base: float
    new_luxury: float


@dataclass(frozen=True)
class MileageQuantiles:
    """Logs of the miles of used cars by age (rows) and probability (columns)."""

    ages: Floats
    probabilities: Floats
    log_miles: Floats


@dataclass(frozen=True)
class Facts:
    """All tables."""

    models: Models
    makes: Makes
    curves: PriceCurves
    mileage: MileageQuantiles


@lru_cache(maxsize=1)
def load_facts() -> Facts:
    """Read the tables once a process."""
    makes = _makes()
    return Facts(_models(makes), makes, _curves(), _mileage())


def _floats(rows: list[dict[str, str]], column: str) -> Floats:
    return np.array([float(row[column]) for row in rows])


def _makes() -> Makes:
    rows = rows_of("makes")
    return Makes(
        make=texts([row["make"] for row in rows]),
        wmi=texts([row["wmi"] for row in rows]),
        wear=_floats(rows, "wear"),
        usage=_floats(rows, "usage"),
    )


def _models(makes: Makes) -> Models:
    rows = rows_of("models")
    index = {make: i for i, make in enumerate(makes.make)}
    return Models(
        make=texts([row["make"] for row in rows]),
        model=texts([row["model"] for row in rows]),
        make_id=np.array([index[row["make"]] for row in rows]),
        body=texts([row["body"] for row in rows]),
        truck=np.array(["truck" in row["segment"] for row in rows]),
        luxury=np.array(["luxury" in row["segment"] for row in rows]),
        listings=_floats(rows, "listings"),
        mean_price=_floats(rows, "mean_price"),
        level=_floats(rows, "level"),
        slope=_floats(rows, "slope"),
        year_cdf=_year_cdf(rows),
    )


def _year_cdf(rows: list[dict[str, str]]) -> Floats:
    """Recent years by the model's own shares, older ones as in the whole file among its years."""
    overall = np.zeros(LAST_YEAR - FIRST_YEAR + 1)
    for row in rows_of("years"):
        overall[int(row["year"]) - FIRST_YEAR] = float(row["share"])
    recent = [year - FIRST_YEAR for year in _RECENT_YEARS]
    shares = np.zeros((len(rows), len(overall)))
    for i, row in enumerate(rows):
        own = np.zeros(len(overall), dtype=bool)
        own[[year - FIRST_YEAR for year in _years(row["years"])]] = True
        if row["recent"] != "-":
            shares[i, recent] = np.array(row["recent"].split(), dtype=float) / 1000
        older = np.where(own, overall, 0.0)
        older[recent] = 0.0
        if older.sum() > 0:
            shares[i] += older / older.sum() * max(0.0, 1 - shares[i].sum())
    return np.asarray(np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True))


def _years(ranges: str) -> list[int]:
    """``"1999-2001 2003"`` to the years."""
    bounds = [part.split("-") for part in ranges.split()]
    return [year for bound in bounds for year in range(int(bound[0]), int(bound[-1]) + 1)]


def _curves() -> PriceCurves:
    rows = rows_of("price_curves")
    age, miles, new = ([r for r in rows if r["variable"] == kind] for kind in ("age", "miles", "new"))
    segments = ("base", "truck", "luxury", "level")
    return PriceCurves(
        age_knots=_floats(age, "knot"),
        age_values=np.column_stack([_floats(age, name) for name in segments]),
        miles_knots=_floats(miles, "knot"),
        miles_values=np.column_stack([_floats(miles, name) for name in (*segments, "age")]),
        new_base=float(new[0]["base"]),
        new_luxury=float(new[0]["luxury"]),
    )


def _mileage() -> MileageQuantiles:
    rows = rows_of("mileage")
    columns = [name for name in rows[0] if name != "age"]
    return MileageQuantiles(
        ages=_floats(rows, "age"),
        probabilities=np.array([float(name[1:]) / 100 for name in columns]),
        log_miles=np.log(np.column_stack([_floats(rows, name) for name in columns])),
    )
