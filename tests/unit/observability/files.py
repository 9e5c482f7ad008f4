"""The files of the component, read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPONENT = Path(__file__).parents[3] / "k8s" / "components" / "observability"
PROMETHEUS = COMPONENT / "prometheus"
GRAFANA = COMPONENT / "grafana"

_NAME = r"(?:[a-z_0-9]+:)?(?:car_price|process)_\w+(?::\w+)?|up\b"
_SELECTOR = re.compile(rf"\b({_NAME})(\{{[^}}]*\}})?")


def dashboards() -> dict[str, dict[str, Any]]:
    """Return each dashboard by its file's name."""
    return {
        file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))
    }


def queries() -> Iterator[tuple[str, str]]:
    """Yield each query of every dashboard, with where it stands."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']} {target['refId']}", target["expr"]
        for annotation in dashboard["annotations"]["list"]:
            if "expr" in annotation:
                yield f"{name}: {annotation['name']}", annotation["expr"]


def rules() -> list[dict[str, Any]]:
    """Return all rules, those that record and those that alert."""
    return [
        rule
        for file in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def selectors(expression: str) -> set[str]:
    """Return the series that a query asks for, with their matchers."""
    return {name + (matchers or "") for name, matchers in _SELECTOR.findall(expression)}
