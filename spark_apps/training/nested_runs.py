"""MLflow's nested runs of a training: one for each member, and in it one for each setting on each fold.

What a run says it took, it took: its start and end are those of the fit.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlflow.entities import Run

    from spark_apps.training.crossvalidation import FoldFit, Setting, Validated

FOLD, MEMBER, SETTING = "pipelines.fold", "pipelines.member", "pipelines.setting"

_AT_ONCE = 4
_POINTS = 100  # of a learning curve


@dataclass(frozen=True)
class _Child:
    """What a run is made of; ``steps`` are metrics with a history."""

    name: str
    started: float
    ended: float
    params: Mapping[str, float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    steps: Sequence[Metric] = ()


def log_members(parent: Run, validated: Sequence[Validated]) -> None:
    """Keep every member's fits in runs of their own under ``parent``."""
    client = MlflowClient()
    log = partial(_log, client, parent.info.experiment_id)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        members = list(pool.map(lambda one: log(parent.info.run_id, _of_member(one)), validated))
        fits = [
            pool.submit(log, run_id, _of_fit(one, number, setting, fold))
            for run_id, one in zip(members, validated, strict=True)
            for number, setting in enumerate(one.settings)
            for fold in setting.fits
        ]
        for fit in fits:
            fit.result()


def _log(client: MlflowClient, experiment_id: str, parent_id: str, child: _Child) -> str:
    tags = {MLFLOW_PARENT_RUN_ID: parent_id, **child.tags}
    run = client.create_run(experiment_id, int(child.started * 1000), tags, child.name)
    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id,
        metrics=[*(Metric(name, value, now, 0) for name, value in child.metrics.items()), *child.steps],
        params=[Param(name, str(value)) for name, value in child.params.items()],
    )
    client.set_terminated(run.info.run_id, end_time=int(child.ended * 1000))
    return str(run.info.run_id)


def _of_member(one: Validated) -> _Child:
    fits = [fold for setting in one.settings for fold in setting.fits]
    return _Child(
        name=one.member.name,
        started=min(fold.started for fold in fits),
        ended=max(map(_ended, fits)),
        params=one.best.final_params(),
        metrics={
            **one.best.errors.named("cv"),
            "seconds.train": one.fit_seconds,
            "seconds.validate": one.validation_seconds,
        },
        tags={MEMBER: one.member.name},
    )


def _of_fit(one: Validated, number: int, setting: Setting, fold: FoldFit) -> _Child:
    best = setting is one.best
    return _Child(
        name=f"{one.member.name}, setting {number + 1}, fold {fold.fold + 1}",
        started=fold.started,
        ended=_ended(fold),
        params=setting.params,
        metrics={
            **fold.errors.named("cv"),
            **{f"chosen.{name}": value for name, value in fold.chosen.items()},
            "seconds.train": fold.fit_seconds,
            "seconds.validate": fold.validation_seconds,
        },
        tags={
            MEMBER: one.member.name,
            SETTING: str(number + 1),
            FOLD: str(fold.fold + 1),
            "pipelines.best": str(best).lower(),
        },
        steps=list(_curves(fold)) if best else (),
    )


def _curves(fold: FoldFit) -> Iterable[Metric]:
    now = int(time.time() * 1000)
    for name, curve in fold.curves.items():
        every = max(1, len(curve) // _POINTS)
        for step in range(0, len(curve), every):
            yield Metric(f"rounds.{name}", curve[step], now, step + 1)


def _ended(fold: FoldFit) -> float:
    return fold.started + fold.fit_seconds + fold.validation_seconds
