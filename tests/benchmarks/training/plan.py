"""What boosting alone is to do, as files: the settings, and for each fold its rows. No Spark in here.

``plan.json`` beside ``fold-<number>/train`` and ``fold-<number>/held_out`` (Parquet).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

TRAIN, HELD_OUT = "train", "held_out"
_PLAN = "plan.json"


@dataclass(frozen=True)
class BoostingSetting:
    """A point of the grid, in the words of the project's own ``XGBoost``."""

    rounds: int
    depth: int
    leaves: int
    learning_rate: float
    min_child_weight: float
    subsample: float
    columns_a_tree: float
    l2: float
    patience: int
    seed: int

    def for_xgboost(self) -> dict[str, Any]:
        """Return what XGBoost itself is told of it."""
        return {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": self.depth,
            "max_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.columns_a_tree,
            "reg_lambda": self.l2,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Plan:
    """All settings, and in how many folds each is fitted."""

    settings: tuple[BoostingSetting, ...]
    folds: int

    def write(self, folder: Path) -> None:
        """Keep it in ``folder``."""
        (folder / _PLAN).write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Read what :meth:`write` has kept."""
        kept = json.loads((folder / _PLAN).read_text())
        settings = tuple(BoostingSetting(**setting) for setting in kept["settings"])
        return cls(settings, kept["folds"])


@dataclass(frozen=True)
class Rows:
    """Rows of a fold: ``features`` (float32, rows by features), prices, and weights."""

    features: np.ndarray[Any, Any]
    price: np.ndarray[Any, Any]
    log_price: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fold:
    """Rows to fit on, rows by which that stops early, and rows held out."""

    number: int
    fitted: Rows
    stopping: Rows
    held_out: Rows


def read_fold(folder: Path, number: int) -> Fold:
    """Read a fold that :mod:`tests.benchmarks.training.features` has written."""
    fold = folder / f"fold-{number}"
    train = pq.read_table(fold / TRAIN)
    stopping = train.column("stopping")
    return Fold(
        number,
        fitted=_rows(train.filter(pc.invert(stopping))),
        stopping=_rows(train.filter(stopping)),
        held_out=_rows(pq.read_table(fold / HELD_OUT)),
    )


def _rows(table: Any) -> Rows:
    numbers = table.column("features").combine_chunks().flatten().to_numpy()
    return Rows(
        numbers.reshape(len(table), -1),
        *(table.column(name).to_numpy() for name in ("price", "log_price", "weight")),
    )
