"""Which attribute of a listing a feature tells of, as the stages of the model themselves say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from spark_apps.listings.schema import RAW_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spark_apps.explaining.saved import Stage

# A SELECT of a model's first stage is "… <sql> AS <name>, <sql> AS <name> FROM (SELECT … FROM __THIS__)".
_ALIAS = re.compile(r" AS (\w+)(?=,| FROM)")
_NO_SOURCE = re.compile(r"'[^']*'|EXCEPT \([^)]*\)")  # texts, and what is dropped
_COLUMN = re.compile(r"\b[A-Za-z_]\w*\b(?!\()")  # what a bracket follows is a function
# The day of listing is what a car's age is counted from, and nothing about the car.
_POINT_OF_REFERENCE = "listed_date"


def origins(statement: str) -> dict[str, frozenset[str]]:
    """Return for each column that the statement makes the raw columns that it is made of."""
    *parts, _ = _ALIAS.split(_NO_SOURCE.sub("", statement))
    made = {name: set(_COLUMN.findall(sql)) for sql, name in zip(parts[::2], parts[1::2], strict=True)}

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


def _places(stage: Path) -> list[int]:
    """Return for each column of a linear map's matrix a row that has a weight in it."""
    [row] = pq.read_table(stage / "data", columns=["pc"]).to_pylist()
    matrix = row["pc"]
    shape = (matrix["numRows"], matrix["numCols"])
    weights = np.reshape(matrix["values"], shape, order="C" if matrix["isTransposed"] else "F")
    return np.abs(weights).argmax(axis=0).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Lineage:
    """Where the numbers of a model's vectors come from.

    ``origins`` has the raw columns of each column that is made by SQL, ``made_of`` the text behind each index
    and each ``one_hot`` vector, ``assembled`` the columns that each other vector is put together from;
    ``embedded`` says of each number of an embedding a place of the vector it is looked up by.
    """

    origins: dict[str, frozenset[str]]
    made_of: dict[str, str]
    assembled: dict[str, Sequence[str]]
    one_hot: tuple[str, ...]
    embedded: dict[str, Sequence[int]]

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Lineage:
        """Read it off the stages, the first of which is the SQL."""
        of_several = [stage.params for stage in stages if "outputCols" in stage.params]
        return cls(
            origins=origins(stages[0].params["statement"]),
            made_of={
                made: of
                for params in of_several
                for of, made in zip(params["inputCols"], params["outputCols"], strict=True)
            },
            assembled={
                stage.params["outputCol"]: stage.params.get("inputCols") or [stage.params["inputCol"]]
                for stage in stages
                if stage.kind in {"VectorAssembler", "StandardScalerModel", "PCAModel"}
            },
            one_hot=tuple(
                made
                for stage in stages
                if stage.kind == "OneHotEncoderModel"
                for made in stage.params["outputCols"]
            ),
            embedded={
                stage.params["outputCol"]: _places(stage.folder)
                for stage in stages
                if stage.kind == "PCAModel"
            },
        )

    def attributes(self, column: str, widths: Mapping[str, int]) -> list[str]:
        """Return the attribute of each number in a column; ``widths`` are those of the one-hot vectors."""
        if column in self.assembled:
            inner = [one for part in self.assembled[column] for one in self.attributes(part, widths)]
            return [inner[place] for place in self.embedded[column]] if column in self.embedded else inner
        return [self._attribute(self._text(column))] * widths.get(column, 1)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return by attribute the raw columns behind it, in order."""
        behind: dict[str, set[str]] = {}
        for made, columns in self.origins.items():
            behind.setdefault(self._attribute(made), set()).update(columns)
        return {name: tuple(sorted(columns)) for name, columns in behind.items()}

    def _text(self, column: str) -> str:
        while column in self.made_of:
            column = self.made_of[column]
        return column

    def _attribute(self, made: str) -> str:
        kind, _, feature = made.partition("_")
        return attribute(feature or kind, self.origins[made])
