"""Which attribute of a listing a feature tells of, as the stages of the model themselves say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_apps.listings.schema import RAW_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_apps.explaining.saved import Stage

# A SELECT of a model's first stage is "… <sql> AS <name>, <sql> AS <name> FROM (SELECT … FROM __THIS__)".
_ALIAS = re.compile(r" AS (\w+)(?=,| FROM)")
_NO_SOURCE = re.compile(r"'[^']*'|EXCEPT \([^)]*\)")  # texts, and what is dropped
_COLUMN = re.compile(r"\b[A-Za-z_]\w*\b(?!\()")  # what a bracket follows is a function
# The day of listing is what a car's age is counted from, and nothing about the car.
_POINT_OF_REFERENCE = "listed_date"


def made_by(statement: str) -> dict[str, set[str]]:
    """Return for each column that the statement makes the words in its SQL, columns among them."""
    *parts, _ = _ALIAS.split(_NO_SOURCE.sub("", statement))
    return {name: set(_COLUMN.findall(sql)) for sql, name in zip(parts[::2], parts[1::2], strict=True)}


def origins(statement: str) -> dict[str, frozenset[str]]:
    """Return for each column that the statement makes the raw columns that it is made of."""
    made = made_by(statement)

    def raw(name: str) -> frozenset[str]:
        inner = (raw(one) for one in made[name] if one in made)
        return frozenset(made[name] & set(RAW_COLUMNS)).union(*inner)

    return {name: raw(name) for name in made}


def attribute(feature: str, columns: frozenset[str]) -> str:
    """Return the attribute that ``feature``, made of these raw columns, tells of: mostly a raw column.

    Of several columns it is the one that the feature is named after (``log_mileage``, ``model``); a feature
    named after none is an attribute by its own first word: ``variant`` is what is built alike.
    """
    about_the_car = columns - {_POINT_OF_REFERENCE} or columns
    if len(about_the_car) == 1:
        return next(iter(about_the_car))
    name = feature.removeprefix("log_")
    named_after = [column for column in about_the_car if name.startswith(column.removesuffix("_name"))]
    return max(named_after, key=len, default=name.split("_")[0])


@dataclass(frozen=True)
class Lineage:
    """Where the numbers of a model's vectors come from.

    ``origins`` has the raw columns of each column that the first stage makes of them, ``made_of`` the columns
    behind each that a later one makes, ``assembled`` the columns that each vector is put together from.
    """

    origins: dict[str, frozenset[str]]
    made_of: dict[str, frozenset[str]]
    assembled: dict[str, Sequence[str]]

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Lineage:
        """Read it off the stages, the first of which is the SQL."""
        first, *later = (stage.params for stage in stages)
        own = origins(first["statement"])
        made_of: dict[str, frozenset[str]] = {}
        for params in later:
            if "outputCols" in params:
                pairs = zip(params["outputCols"], params["inputCols"], strict=True)
                made_of |= {made: frozenset({of}) for made, of in pairs}
            elif "statement" in params:
                known = own.keys() | made_of.keys()
                made = made_by(params["statement"])
                made_of |= {
                    name: frozenset(columns & (known | made.keys())) for name, columns in made.items()
                }
        return cls(
            origins=own,
            made_of=made_of,
            assembled={
                stage.params["outputCol"]: stage.params.get("inputCols") or [stage.params["inputCol"]]
                for stage in stages
                if stage.kind in {"VectorAssembler", "StandardScalerModel"}
            },
        )

    def attributes(self, column: str) -> list[str]:
        """Return the attribute of each number in a column."""
        if column in self.assembled:
            return [one for part in self.assembled[column] for one in self.attributes(part)]
        return [self._attribute(column)]

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return by attribute the raw columns behind it, in order."""
        behind: dict[str, set[str]] = {}
        for made, columns in self.origins.items():
            behind.setdefault(self._attribute(made), set()).update(columns)
        return {name: tuple(sorted(columns)) for name, columns in behind.items()}

    def _attribute(self, made: str) -> str:
        """Return what a column tells of; a slope times a number tells of the label, as its name does."""
        if made in self.origins:
            kind, _, feature = made.partition("_")
            return attribute(feature or kind, self.origins[made])
        behind = {self._attribute(column) for column in self.made_of[made]}
        return next(iter(behind)) if len(behind) == 1 else attribute(made, frozenset(behind))
