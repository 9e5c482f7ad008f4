"""Cleaned listings to the numbers, categories and ranks of ``spark_apps/listings/features.py``, by numpy.

Batch by batch: what is done a listing is done in Python, what is done a column in numpy.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.benchmarks.serving.plain.cleaning import NUMBERS, TEXTS, Cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Matrix = np.ndarray[Any, Any]

_FARTHEST = 10.0
_LEAST_AGE = 0.5
_PLACES = 4  # digits after the point
_MAKE, _MODEL = TEXTS.index("make_name"), TEXTS.index("model_name")
#: A model's name alone is ambiguous: the make goes with it.
CATEGORIES = tuple({"make_name": "make", "model_name": "model", "trim_name": "trim"}.get(n, n) for n in TEXTS)
VARIANTS = ("model", "variant", "variant_and_year")
COLUMNS = (*(f"category_{name}" for name in CATEGORIES), *(f"variant_{name}" for name in VARIANTS))
_ALIKE_TEXTS = tuple(
    TEXTS.index(name)
    for name in (
        "make_name", "model_name", "trim_name", "engine_type", "fuel_type", "transmission", "wheel_system",
    )
)  # fmt: skip
_ALIKE_NUMBERS = tuple(
    NUMBERS.index(name) for name in ("engine_displacement", "city_fuel_economy", "combine_fuel_economy")
)
_YEAR = NUMBERS.index("year")


@dataclass(frozen=True)
class Plan:
    """What the project's features are made by: typical values and spreads, options, labels kept.

    ``kept`` has of each of :data:`COLUMNS` how many rows a label needs, and its most labels.
    """

    scales: dict[str, tuple[float, float]]
    options: list[str]
    kept: dict[str, tuple[int, int]]

    def write(self, file: Path) -> None:
        """Keep it."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Plan:
        """Read what :meth:`write` has kept."""
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True)
class Encoder:
    """A plan with what is fitted: the labels of each column, most frequent first, and the newest day."""

    plan: Plan
    labels: dict[str, list[str]]
    today: float

    @classmethod
    def fit(cls, plan: Plan, listings: Sequence[Cleaned]) -> Encoder:
        """Count labels, and find the newest day of listing."""
        counts: dict[str, Counter[str]] = {column: Counter() for column in COLUMNS}
        for listing in listings:
            for column, label in zip(COLUMNS, labels(listing), strict=True):
                if label is not None:
                    counts[column][label] += 1
        kept = {
            column: [
                label
                for label, count in sorted(counts[column].items(), key=lambda item: (-item[1], item[0]))
                if count >= at_least
            ][:at_most]
            for column, (at_least, at_most) in plan.kept.items()
        }
        days = np.array([listing.numbers[NUMBERS.index("listed")] for listing in listings])
        return cls(plan, kept, float(np.nanpercentile(days, 99, method="lower")))

    def matrix(self, listings: Sequence[Cleaned]) -> Matrix:
        """Return the features, float32: numbers, then the codes of categories, then ranks of variants."""
        codes = self._codes
        texts = np.array(
            [
                [len(code) if label is None else code.get(label, len(code)) for code, label in pairs]
                for pairs in (zip(codes, labels(listing), strict=True) for listing in listings)
            ],
            dtype=np.float32,
        )
        return np.hstack([numbers(self.plan, self.today, listings), texts])

    @property
    def types(self) -> list[str]:
        """XGBoost's types of the features: "c" of a category, "q" of a number."""
        return ["q"] * len(self.plan.scales) + ["c"] * len(CATEGORIES) + ["q"] * len(VARIANTS)

    def write(self, file: Path) -> None:
        """Keep it."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Encoder:
        """Read what :meth:`write` has kept."""
        kept = json.loads(file.read_text())
        return cls(Plan(**kept["plan"]), kept["labels"], kept["today"])

    @cached_property
    def _codes(self) -> list[dict[str, int]]:
        return [{label: code for code, label in enumerate(self.labels[column])} for column in COLUMNS]


def labels(listing: Cleaned) -> list[str | None]:
    """Return a listing's text for each of :data:`COLUMNS`."""
    texts, figures = listing.texts, listing.numbers
    make, model = texts[_MAKE], texts[_MODEL]
    named = f"{make} {model}" if make is not None and model is not None else None
    alike = [text for place in _ALIKE_TEXTS if (text := texts[place]) is not None]
    alike += [str(x) for place in _ALIKE_NUMBERS if not isnan(x := figures[place])]
    variant, year = "|".join(alike), figures[_YEAR]
    aged = "|".join(alike if isnan(year) else (*alike, str(year)))
    return [*texts[:_MODEL], named, *texts[_MODEL + 1 :], named, variant or None, aged or None]


def numbers(plan: Plan, today: float, listings: Sequence[Cleaned]) -> Matrix:
    """Return the numbers of the plan, each on its scale and never missing."""
    raw = np.array([listing.numbers for listing in listings])
    listed = raw[:, NUMBERS.index("listed")]
    clean = np.round(raw, _PLACES)
    clean[:, NUMBERS.index("listed")] = listed
    found = _derived(dict(zip(NUMBERS, clean.T, strict=True)), today)
    for option in plan.options:
        name = f"option_{option.lower().replace(' ', '_').replace('/', '_')}"
        found[name] = np.array([option in listing.options for listing in listings], dtype=float)
    scale = np.array(list(plan.scales.values()))
    values = np.column_stack([found[name] for name in plan.scales])
    values -= scale[:, 0]
    values /= scale[:, 1]
    np.nan_to_num(values, copy=False, nan=0.0, posinf=_FARTHEST, neginf=-_FARTHEST)
    return np.clip(values, -_FARTHEST, _FARTHEST, out=values).astype(np.float32)


def _derived(clean: Mapping[str, Matrix], today: float) -> dict[str, Matrix]:
    listed = np.where(np.isnan(clean["listed"]), today, clean["listed"])
    age = listed - clean["year"]
    power = np.where(np.isnan(clean["horsepower"]), clean["power_hp"], clean["horsepower"])
    return {
        **clean,
        **{f"missing_{name}": np.isnan(values).astype(float) for name, values in clean.items()},
        "age": age,
        "age_squared": age * age,
        "horsepower": power,
        "log_horsepower": _log(power),
        "log_mileage": _log(1 + clean["mileage"]),
        "mileage_a_year": clean["mileage"] / np.fmax(age, _LEAST_AGE),
    }


def _log(values: Matrix) -> Matrix:
    return np.log(values, out=np.full_like(values, np.nan), where=values > 0)
