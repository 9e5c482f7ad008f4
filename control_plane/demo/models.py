"""The models' own figures, as they stand in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control_plane.demo.report import dollars
from control_plane.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def model_rows(tracking_uri: str, versions: Sequence[int], members: Sequence[str]) -> list[list[str]]:
    """One row a version and model, the stack first: RMSE, MAE and R² on the test part, seconds."""
    registry = Registry(tracking_uri)
    runs = {version.version: version.run_id for version in registry.versions()}
    return [
        _row(f"version {version}: {model}", model, metrics)
        for version in versions
        for metrics in [registry.metrics(runs[version])]
        for model in ("stack", *members)
    ]


def _row(title: str, model: str, metrics: Mapping[str, float]) -> list[str]:
    def figure(name: str, form: str) -> str:
        value = metrics.get(name)
        return "-" if value is None else format(value, form)

    return [
        title,
        dollars(metrics.get(f"test.{model}.rmse")),
        dollars(metrics.get(f"test.{model}.mae")),
        figure(f"test.{model}.r2", ".3f"),
        figure(f"seconds.train.{model}", ".1f"),
        figure(f"seconds.validate.{model}", ".1f"),
    ]
