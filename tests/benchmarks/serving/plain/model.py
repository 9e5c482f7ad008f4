"""A booster with what it needs around it, as a folder; fitted on the listings that the project trains on.

``python -m tests.benchmarks.serving.plain.model --listings FILE --plan FILE --setting JSON --to FOLDER``
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xgboost

from tests.benchmarks.serving.plain.cleaning import Cleaned, of_raw
from tests.benchmarks.serving.plain.features import Encoder, Matrix, Plan
from tests.benchmarks.training.plan import BoostingSetting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ENCODER, _BOOSTER, _WIDTH = "encoder.json", "booster.ubj", "width.json"
_STOPPING = 10  # one listing in so many stops the training, and says how wide the intervals are
_CHEAPEST, _DEAREST = 500.0, 250_000.0
_CONFIDENCE = 0.9
_MANY = 500


@dataclass(frozen=True)
class Model:
    """Prices listings; ``width`` is half an interval in logarithms. Many at once get ``threads`` threads."""

    encoder: Encoder
    booster: xgboost.Booster
    width: float
    threads: int = 1

    def prices(self, listings: Sequence[Cleaned]) -> tuple[list[float], list[float], list[float]]:
        """Return the prices and the ends of their intervals, dollars and whole cents."""
        if self.threads > 1:  # a few listings are priced sooner than other threads have woken
            self.booster.set_param("nthread", self.threads if len(listings) >= _MANY else 1)
        logs = self.booster.inplace_predict(self.encoder.matrix(listings)).astype(float)
        price, low, high = (np.round(np.exp(logs + by), 2).tolist() for by in (0, -self.width, self.width))
        return price, low, high

    def write(self, folder: Path) -> None:
        """Keep it in a new folder."""
        folder.mkdir(parents=True)
        self.encoder.write(folder / _ENCODER)
        self.booster.save_model(folder / _BOOSTER)
        (folder / _WIDTH).write_text(json.dumps(self.width))

    @classmethod
    def read(cls, folder: Path, threads: int) -> Model:
        """Read what :meth:`write` has kept, to score with so many threads."""
        booster = xgboost.Booster({"nthread": 1}, model_file=folder / _BOOSTER)
        width = json.loads((folder / _WIDTH).read_text())
        return cls(Encoder.read(folder / _ENCODER), booster, width, threads)

    @classmethod
    def fit(cls, plan: Plan, setting: BoostingSetting, listings: Sequence[Mapping[str, str]]) -> Model:
        """Fit on the logarithm of the price, with native categories."""
        sold = [(one, price) for one in listings if (price := _price(one)) is not None]
        cleaned, label = [of_raw(one) for one, _ in sold], np.log([price for _, price in sold])
        stops = np.arange(len(sold)) % _STOPPING == 0
        encoder = Encoder.fit(plan, [one for one, stop in zip(cleaned, stops, strict=True) if not stop])
        features = encoder.matrix(cleaned)
        train, validation = (_matrix(encoder, features[rows], label[rows]) for rows in (~stops, stops))
        booster = xgboost.train(
            setting.for_xgboost(),
            train,
            setting.rounds,
            evals=[(validation, "stopping")],
            early_stopping_rounds=setting.patience,
            verbose_eval=False,
        )
        booster = booster[: booster.best_iteration + 1]
        error = np.abs(booster.inplace_predict(features[stops]) - label[stops])
        return cls(encoder, booster, float(np.quantile(error, _CONFIDENCE)))


def _matrix(encoder: Encoder, features: Matrix, label: Matrix) -> xgboost.DMatrix:
    return xgboost.DMatrix(features, label, feature_types=encoder.types, enable_categorical=True)


def _price(listing: Mapping[str, str]) -> float | None:
    try:
        price = float(listing["price"])
    except (KeyError, ValueError):
        return None
    return price if _CHEAPEST <= price <= _DEAREST else None


def main() -> None:
    """Fit and keep a model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listings", required=True, type=Path, help="JSON lines, prices among them")
    parser.add_argument("--plan", required=True, type=Path)
    parser.add_argument("--setting", required=True, type=json.loads)
    parser.add_argument("--to", required=True, type=Path)
    told = parser.parse_args()
    with told.listings.open() as lines:
        listings = [json.loads(line) for line in lines]
    model = Model.fit(Plan.read(told.plan), BoostingSetting(**told.setting), listings)
    model.write(told.to)
    sys.stderr.write(f"{model.booster.num_boosted_rounds()} rounds, intervals of {model.width:.3f}\n")


if __name__ == "__main__":
    main()
