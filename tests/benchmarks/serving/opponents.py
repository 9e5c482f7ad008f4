"""What the plain consumer is given, so that it does what the project does: its features, rules and rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from control_plane.simulator.generator import listings
from spark_apps.listings.features import NUMBERS, OPTIONS, Kept, kept_labels
from spark_apps.training.settings import TrainingSettings
from tests.benchmarks.processes import measured
from tests.benchmarks.serving.plain.features import Plan
from tests.benchmarks.training import features
from tests.benchmarks.training.contestants import BENCH_PYTHON, ROOT
from tests.benchmarks.training.setup import GENERATED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.training.setup import Setup


def plan() -> Plan:
    """Return the project's scales, options and rules of labels."""
    settings = TrainingSettings()
    kept = kept_labels(
        categories=Kept(settings.label_rows, settings.labels),
        models=Kept(settings.model_rows, settings.models),
        variants=Kept(settings.variant_rows, settings.variants),
    )
    return Plan(
        scales={name: (number.typical, number.spread) for name, number in NUMBERS.items()},
        options=list(OPTIONS),
        kept={column: (rule.at_least, rule.at_most) for column, rule in kept.items()},
    )


def fit(setup: Setup, rows: int) -> Path:
    """Fit the plain consumer's model on the listings that a training is given; return its folder.

    The setting of XGBoost is the one that the project's boosting has with a grid of one.
    """
    told, plan_file, model = (setup.folder / name for name in ("listings.json", "plan.json", "plain"))
    with told.open("w") as file:
        file.writelines(f"{json.dumps(one)}\n" for one in islice(listings(rows, GENERATED), rows))
    plan().write(plan_file)
    setting = features.plan(TrainingSettings(grid=1)).settings[0]
    module = ["-m", "tests.benchmarks.serving.plain.model", "--setting", json.dumps(asdict(setting))]
    with setup.view.work("the plain consumer's model"):
        measured(
            "the plain consumer's training",
            [BENCH_PYTHON, *module, "--listings", told, "--plan", plan_file, "--to", model],
            env=setup.environment(PYTHONPATH=str(ROOT)),
            log_file=setup.logs / "plain-model.log",
            limit_s=setup.limit_s,
            on_line=lambda line: setup.view.fact(f"    {line}"),
        )
    return model
