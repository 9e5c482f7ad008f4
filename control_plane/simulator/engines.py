"""What drives a car: engines that fit a model's class and price, and the texts the dataset gives them."""

# ruff: noqa: PLR2004 -- the numbers are the subject here: where one kind of engine ends and the next begins

import re
from dataclasses import dataclass
from functools import lru_cache

_ELECTRIC = re.compile(
    r"bolt ev|leaf|^model [sxy3]$|^e-tron|taycan|i-pace|^i3$|kona electric|niro ev|soul ev|spark ev|e-golf"
    r"|focus electric|^500e$|mach-e|i-miev|ioniq electric|electric drive|electric$"
)
_HYBRID = re.compile(r"hybrid|energi|plug-in|prius|^insight$|^volt$|^clarity|rav4 prime|^cr-z$")
_HEAVY = re.compile(
    r"[2345]500|f-[2345]50|chassis|express|savana|e-series|sprinter|transit (cargo|passenger|crew)"
)
_DIESEL = re.compile(r"diesel|tdi")
_ITALIAN = (
    "Ferrari",
    "Lamborghini",
    "Rolls-Royce",
    "Bentley",
    "Aston Martin",
    "McLaren",
    "Bugatti",
    "Maybach",
)
_LONGITUDINAL_SIX = ("BMW", "Mercedes-Benz", "Land Rover")


@dataclass(frozen=True)
class Engine:
    """``cylinders`` as in the dataset ("V6 Flex Fuel Vehicle"); zero ``litres`` for an electric car."""

    cylinders: str
    litres: float
    fuel: str
    horsepower: int
    power_rpm: int
    torque: int
    torque_rpm: int
    city_mpg: int  # 0: not rated
    highway_mpg: int


def is_heavy(model: str) -> bool:
    """Trucks and vans too heavy to be rated for fuel economy."""
    return bool(_HEAVY.search(model.lower()))


@lru_cache(maxsize=16)  # the drives of a trim share its engine and come one after the other
def engine_for(make: str, model: str, body: str, new_price: float, rank: float, age: float) -> Engine:
    """The engine of a trim from ``rank`` 0 (plain) to 1 (dear), of a generation of ``age`` years."""
    fuel = _fuel(model.lower(), rank)
    horsepower = _horsepower(body, new_price, rank, age)
    layout = _layout(make, body, horsepower)
    litres = 0.0 if fuel == "Electric" else _litres(layout, horsepower, fuel)
    torque = horsepower * (1.9 if fuel == "Diesel" else 1.02 if layout.startswith(("V8", "V6")) else 0.95)
    city, highway = (0, 0) if is_heavy(model) or fuel == "Electric" else _economy(body, horsepower, fuel, age)
    return Engine(
        cylinders=_cylinders(layout, fuel),
        litres=litres,
        fuel=fuel,
        horsepower=horsepower,
        power_rpm=3000 if fuel == "Diesel" else 5000 + 100 * (horsepower % 16),
        torque=round(torque),
        torque_rpm=1600 if fuel == "Diesel" else 1500 + 250 * (horsepower % 13),
        city_mpg=city,
        highway_mpg=highway,
    )


def _fuel(model: str, rank: float) -> str:
    if _ELECTRIC.search(model):
        return "Electric"
    if _HYBRID.search(model):
        return "Hybrid"
    if _DIESEL.search(model) or (_HEAVY.search(model) and rank > 0.65 and "express" not in model):
        return "Diesel"
    if re.search(r"150|1500|tahoe|suburban|yukon|grand caravan|impala", model) and rank < 0.35:
        return "Flex Fuel Vehicle"
    return "Gasoline"


def _horsepower(body: str, new_price: float, rank: float, age: float) -> int:
    truck = body in ("Pickup Truck", "Van")
    base = 300 * (new_price / 38_000) ** 0.35 if truck else 162 * (new_price / 22_000) ** 0.68
    sporty = 1.2 if body in ("Coupe", "Convertible") else 1.0
    aged = base * sporty * (0.9 + 0.2 * rank) * 0.985 ** max(age, 0.0)
    return int(min(max(aged, 62.0), 760.0))


def _layout(make: str, body: str, horsepower: int) -> str:
    if make in _ITALIAN:
        return "V8" if horsepower < 610 else "V10" if make == "Lamborghini" else "V12"
    if make in ("Subaru", "Porsche"):
        return "H4" if horsepower < 300 else "H6"
    if horsepower < 80:
        return "I3"
    if horsepower < (225 if body in ("Pickup Truck", "Van", "Minivan") else 255):
        return "I4"
    if horsepower < 345:
        return "I6" if make in _LONGITUDINAL_SIX else "V6"
    return "V8" if horsepower < 700 else "V12"


def _litres(layout: str, horsepower: int, fuel: str) -> float:
    smallest, largest, per_litre = {
        "I3": (1.0, 1.2, 65.0),
        "I4": (1.4, 2.7, 88.0),
        "H4": (2.0, 2.5, 75.0),
        "H6": (3.0, 3.8, 105.0),
        "I6": (2.5, 3.0, 105.0),
        "V6": (2.7, 3.8, 83.0),
        "V8": (4.6, 6.7, 68.0),
        "V10": (5.2, 6.8, 110.0),
        "V12": (6.0, 6.6, 100.0),
    }[layout]
    litres = horsepower / per_litre * (1.15 if fuel == "Diesel" else 1.0)
    return round(min(max(litres, smallest), largest), 1)


def _cylinders(layout: str, fuel: str) -> str:
    if fuel == "Electric":
        return ""
    return layout if fuel == "Gasoline" else f"{layout} {fuel}"


def _economy(body: str, horsepower: int, fuel: str, age: float) -> tuple[int, int]:
    weight = {"Pickup Truck": 3.0, "Van": 4.0, "Minivan": 3.0, "SUV / Crossover": 2.0}.get(body, 0.0)
    city = 35.5 - horsepower * 0.05 - weight - 0.15 * max(age, 0.0)
    city = max(city, 10.0) * (1.65 if fuel == "Hybrid" else 1.15 if fuel == "Diesel" else 1.0)
    highway = city * (0.98 if fuel == "Hybrid" else 1.36)
    return round(city), round(highway)
