"""The model registry, as far as the control plane needs it: MLflow by its REST interface.

Not by ``MlflowClient``: importing that takes 140 MB and seconds (measured), in every process that only asks
which versions there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from control_plane.reachable import plainly

MODEL = "used-car-price"
CHAMPION = "champion"
JOB_TAG = "pipelines.job"
BATCHES_TAG = "pipelines.batches"
DIGEST_TAG = "pipelines.digest"
REFERENCE_TAG = "pipelines.reference"

_TIMEOUT_S = 30.0
_SERVER_ERROR = 500
_NONE_THERE = {400, 404}  # MLflow says 400 for an alias that nothing has


class RegistryUnavailableError(RuntimeError):
    """MLflow did not answer: worth another try. The message names its address and the reason."""


class RegistryRefusedError(RuntimeError):
    """MLflow answered that it will not, as for a version that does not exist; the message says why."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered version of the model. ``batches`` are those that it was trained on."""

    version: int
    run_id: str
    job: str | None = None
    batches: tuple[str, ...] = ()
    digest: str | None = None
    reference: str | None = None  # the digest of what live traffic is held against; of older versions none


class Registry:
    """The versions of one model at ``tracking_uri``."""

    def __init__(self, tracking_uri: str, model: str = MODEL) -> None:
        self.tracking_uri = tracking_uri
        self.model = model

    def versions(self) -> list[ModelVersion]:
        """Return every version of the model, the oldest first; none while nobody registered it."""
        found: list[ModelVersion] = []
        page = {"filter": f"name='{self.model}'", "max_results": "1000"}
        while True:
            answer = self._call("GET", "model-versions/search", page)
            found += [_parsed(version) for version in answer.get("model_versions", [])]
            if not answer.get("next_page_token"):
                return sorted(found, key=lambda version: version.version)
            page["page_token"] = answer["next_page_token"]

    def version(self, number: int) -> ModelVersion:
        """Return one version; it is refused if it was never registered."""
        found = self._call("GET", "model-versions/get", {"name": self.model, "version": str(number)})
        return _parsed(found["model_version"])

    def trained_by(self, job: str) -> ModelVersion | None:
        """Return the version that the job registered, the newest of several."""
        # Not by MLflow's filter: a batch's name may hold any quote, and the filter knows no escape.
        return next((found for found in reversed(self.versions()) if found.job == job), None)

    def metrics(self, run_id: str) -> dict[str, float]:
        """Return the last value of each metric of a run."""
        found = self._call("GET", "runs/get", {"run_id": run_id})["run"]["data"].get("metrics", [])
        return {metric["key"]: float(metric["value"]) for metric in found}

    def file_of(self, version: int, path: str) -> bytes:
        """Return a file of a version's model; ``path`` is below the model's folder."""
        where = {"name": self.model, "version": str(version), "path": path}
        return self._answer("GET", "model-versions/get-artifact", where).content

    def champion(self) -> int | None:
        """Return the version that the alias points at."""
        answer = self._call(
            "GET", "registered-models/alias", {"name": self.model, "alias": CHAMPION}, none=True
        )
        return int(answer["model_version"]["version"]) if answer else None

    def set_champion(self, version: int) -> None:
        """Point the alias at the version."""
        alias = {"name": self.model, "alias": CHAMPION, "version": str(version)}
        self._call("POST", "registered-models/alias", alias)

    def _call(self, method: str, path: str, fields: dict[str, str], *, none: bool = False) -> dict[str, Any]:
        response = self._answer(method, f"api/2.0/mlflow/{path}", fields, none=none)
        if not response.ok:
            return {}
        try:
            answer: dict[str, Any] = response.json()
        except requests.RequestException as error:
            raise RegistryUnavailableError(
                f"MLflow at {self.tracking_uri} did not answer: {error}"
            ) from error
        return answer

    def _answer(
        self, method: str, path: str, fields: dict[str, str], *, none: bool = False
    ) -> requests.Response:
        query, body = (fields, None) if method == "GET" else (None, fields)
        try:
            response = requests.request(
                method, f"{self.tracking_uri}/{path}", params=query, json=body, timeout=_TIMEOUT_S
            )
        except requests.RequestException as error:
            raise RegistryUnavailableError(
                f"MLflow at {self.tracking_uri} did not answer: {plainly(error)}"
            ) from error
        if response.status_code >= _SERVER_ERROR:
            raise RegistryUnavailableError(f"MLflow at {self.tracking_uri} answered {response.status_code}")
        if not (response.ok or (none and response.status_code in _NONE_THERE)):
            raise RegistryRefusedError(f"MLflow at {self.tracking_uri} refused: {_reason(response)}")
        return response


def _reason(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        return f"status {response.status_code}"


def _parsed(version: dict[str, Any]) -> ModelVersion:
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", [])}
    return ModelVersion(
        version=int(version["version"]),
        run_id=version.get("run_id", ""),
        job=tags.get(JOB_TAG),
        batches=tuple(filter(None, tags.get(BATCHES_TAG, "").split(","))),
        digest=tags.get(DIGEST_TAG),
        reference=tags.get(REFERENCE_TAG),
    )
