"""Records as the contract of the data topics has them."""

from __future__ import annotations

import json
from datetime import timedelta

from control_plane.events import iso
from tests.unit.control_plane.stories import NOON


def answer(offset: int, *, version: int = 7, status: str = "predicted", partition: int = 0) -> bytes:
    predicted = status == "predicted"
    return json.dumps(
        {
            "request_id": f"r-{offset}",
            "status": status,
            "price": 15_990.0 if predicted else None,
            "low": 14_000.0 if predicted else None,
            "high": 18_000.0 if predicted else None,
            "members": {"linear_svm": 15_000.0} if predicted else None,
            "model_version": version,
            "reason": None if predicted else "no listing",
            "partition": partition,
            "offset": offset,
            "epoch": 3,
            "requested_at": iso(NOON),
        }
    ).encode()


def answered_ms(late_ms: float) -> int:
    """The broker's time of an answer that came so late."""
    return round(NOON.timestamp() * 1000 + late_ms)


def window(minute: int = 0, *, version: int = 7, model: str = "stack", **figures: float | None) -> bytes:
    """The window that ended that many minutes after noon."""
    end = NOON + timedelta(minutes=minute)
    errors = {"rmse": 2_500.5, "mae": 1_700.0, "mape": 0.08, "bias": -12.5, "r2": 0.97, "coverage": 0.9}
    return json.dumps(
        {
            "kind": "error",
            "window_start": iso(end - timedelta(minutes=1)),
            "window_end": iso(end),
            "model_version": version,
            "model": model,
            "count": 40,
            **errors,
            **figures,
        }
    ).encode()


def drift(minute: int = 0, *, version: int = 7, feature: str = "mileage", psi: float = 0.3) -> bytes:
    """The window of a feature that ended that many minutes after noon."""
    return json.dumps(
        {
            "kind": "drift",
            **_five_minutes(minute),
            "model_version": version,
            "feature": feature,
            "psi": psi,
            "chance": 0.05,
            "count": 500,
            "missing": 0.1,
        }
    ).encode()


def estimate(minute: int = 0, *, version: int = 7, rmse: float = 3_000.0) -> bytes:
    """The window of estimated errors that ended that many minutes after noon."""
    errors = {"count": 500, "half_width": 5_000.0, "mae": 2_000.0, "rmse": rmse}
    return json.dumps(
        {"kind": "estimate", **_five_minutes(minute), "model_version": version, **errors}
    ).encode()


def _five_minutes(minute: int) -> dict[str, str]:
    end = NOON + timedelta(minutes=minute)
    return {"window_start": iso(end - timedelta(minutes=5)), "window_end": iso(end)}
