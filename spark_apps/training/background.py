"""What a listing is explained against: the average training row, as far as trees do not know it themselves.

A plane's answer moves by coefficient times (value less mean), so the means of its features are kept. (Trees
have their covers.) They lie in a file of their own beside the model's stages: an explanation needs no
training data, and the model's digest holds for them too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml.stat import Summarizer

from spark_apps.training.preparation import FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from pyspark.sql import DataFrame

_FILE = "background.json"

Means = dict[str, list[float]]


def background(rows: DataFrame) -> Means:
    """Return the means of the features over the rows fitted on, by the name of their vector."""
    [[means]] = rows.select(Summarizer.mean(rows[FEATURES])).collect()
    return {FEATURES: means.toArray().tolist()}


def write(means: Mapping[str, list[float]], folder: Path) -> None:
    """Put the means beside a saved model's stages in ``folder``."""
    (folder / _FILE).write_text(json.dumps(means) + "\n")


def read(folder: Path) -> dict[str, np.ndarray[Any, Any]] | None:
    """Return the means that were put there, or None."""
    try:
        means: Means = json.loads((folder / _FILE).read_text())
    except FileNotFoundError:
        return None
    return {vector: np.array(values) for vector, values in means.items()}
