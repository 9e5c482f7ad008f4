"""Trainings as Jobs, and rollouts as ``kubectl rollout restart`` does them.

What the control plane's service account needs in its namespace: ``create``, ``get``, ``list`` and ``watch``
of ``jobs``, ``list`` of ``pods``, ``get``, ``list``, ``watch`` and ``patch`` of ``deployments``.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import urllib3
from kubernetes import client, config, watch

from control_plane.launchers.base import JobEnd, LauncherUnavailableError, LaunchRefusedError, job_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from control_plane.events import RolloutStarted, TrainingStarted
    from control_plane.settings import Kubernetes

BATCH_ANNOTATION = "pipelines/batch"
ROLLOUT_ANNOTATION = "pipelines/rollout"
RESTARTED_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
MODEL_VERSION = "MODEL_VERSION"

_TIMEOUT_S = 30
_ALREADY_THERE = 409
_NOT_THERE = 404
_INVALID = {400, 422}
_TERMINATION_LOG = "/dev/termination-log"  # Kubernetes' own default


@contextmanager
def _asking() -> Iterator[None]:
    """Tell what Kubernetes refuses for good from what is worth another try."""
    try:
        yield
    except client.ApiException as error:
        kind = LaunchRefusedError if error.status in _INVALID else LauncherUnavailableError
        raise kind(f"Kubernetes answered {error.status}: {_message(error)}") from error
    except (urllib3.exceptions.HTTPError, config.ConfigException) as error:
        raise LauncherUnavailableError(f"Kubernetes did not answer: {error}") from error


def _message(error: client.ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, TypeError, KeyError):
        return str(error.reason)


class KubernetesTrainingLauncher:
    """Each attempt is a Job whose name follows from batch and attempt, with one pod that is tried once."""

    def __init__(self, settings: Kubernetes, deadline_s: float, environment: Mapping[str, str]) -> None:
        config.load_config()
        self._settings = settings
        self._deadline_s = deadline_s
        self._environment = environment
        self._jobs = client.BatchV1Api()
        self._pods = client.CoreV1Api()

    def submit(self, started: TrainingStarted) -> None:
        """Create the Job; one of this name that is there already is met."""
        manifest = job_manifest(started, self._settings, self._deadline_s, self._environment)
        with _asking():
            try:
                self._jobs.create_namespaced_job(
                    self._settings.namespace, manifest, _request_timeout=_TIMEOUT_S
                )
            except client.ApiException as error:
                if error.status != _ALREADY_THERE:
                    raise

    def wait(self, started: TrainingStarted, seconds: float) -> JobEnd | None:
        """Return how the Job ended; one that is gone was deleted, or is kept no longer."""
        name = job_name(started)
        with _asking():
            try:
                job = self._jobs.read_namespaced_job(
                    name, self._settings.namespace, _request_timeout=_TIMEOUT_S
                )
            except client.ApiException as error:
                if error.status != _NOT_THERE:
                    raise
                return JobEnd(f"the Job {name} is gone", None)
            return self._end(job) or self._watched(job, seconds)

    def _watched(self, job: Any, seconds: float) -> JobEnd | None:
        changes = watch.Watch().stream(
            self._jobs.list_namespaced_job,
            self._settings.namespace,
            field_selector=f"metadata.name={job.metadata.name}",
            resource_version=job.metadata.resource_version,
            timeout_seconds=max(1, round(seconds)),
            _request_timeout=seconds + _TIMEOUT_S,
        )
        return next((end for change in changes if (end := self._end(change["object"]))), None)

    def _end(self, job: Any) -> JobEnd | None:
        for condition in job.status.conditions or []:
            if condition.status == "True" and condition.type in {"Complete", "Failed"}:
                begun = job.status.start_time
                seconds = (condition.last_transition_time - begun).total_seconds() if begun else None
                return JobEnd(self._reason(job, condition) if condition.type == "Failed" else None, seconds)
        return None

    def _reason(self, job: Any, condition: Any) -> str:
        if condition.reason == "DeadlineExceeded":
            return f"not done after {self._deadline_s:g} s"
        pods = self._pods.list_namespaced_pod(
            self._settings.namespace,
            label_selector=f"job-name={job.metadata.name}",
            _request_timeout=_TIMEOUT_S,
        )
        for status in (status for pod in pods.items for status in pod.status.container_statuses or []):
            if ended := status.state.terminated:
                return (ended.message or "").strip() or f"{ended.reason}, exit code {ended.exit_code}"
        return str(condition.message)


def job_manifest(
    started: TrainingStarted, settings: Kubernetes, deadline_s: float, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return the attempt's Job, whose pod passes the Pod Security level ``restricted``."""
    labels = {"app.kubernetes.io/name": "training", "app.kubernetes.io/part-of": "car-price-pipelines"}
    filled = (
        part.replace("{batch}", started.batch).replace("{attempt}", str(started.attempt))
        for part in settings.training_command
    )
    container = {
        "name": "training",
        "image": settings.training_image,
        "imagePullPolicy": settings.image_pull_policy,
        # Kubernetes expands $(NAME) in a command, and a batch may be called so.
        "command": [part.replace("$(", "$$(") for part in filled],
        "env": [
            {"name": name, "value": value}
            for name, value in {**environment, "TERMINATION_MESSAGE_PATH": _TERMINATION_LOG}.items()
        ],
        "envFrom": [{"configMapRef": {"name": name}} for name in settings.training_config_maps],
        "resources": {
            "requests": {"cpu": settings.training_cpu, "memory": settings.training_memory},
            "limits": {"memory": settings.training_memory},
        },
        "terminationMessagePath": _TERMINATION_LOG,
        # A job that was killed had no time to say why; the end of its log does.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.training_service_account,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.training_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(started),
            "labels": labels,
            "annotations": {BATCH_ANNOTATION: started.batch},
        },
        "spec": {
            "backoffLimit": 0,  # another try is an attempt of its own, which the log tells of
            "activeDeadlineSeconds": max(1, round(deadline_s)),
            "ttlSecondsAfterFinished": settings.keep_jobs_s,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


class KubernetesRolloutLauncher:
    """Patches the pod template of the serving Deployment, so that a restarted pod loads the same version."""

    def __init__(self, settings: Kubernetes) -> None:
        config.load_config()
        self._settings = settings
        self._deployments = client.AppsV1Api()

    def start(self, rollout: RolloutStarted) -> None:
        """Name the version in the pod template, unless this rollout has done so before."""
        self._patch(rollout.version, f"{rollout.rollout}")

    def wait(self, rollout: RolloutStarted, seconds: float) -> datetime | None:
        """Return now if every pod is of the new template and available (as ``rollout status``)."""
        deployment = self._read()
        if _complete(deployment):
            return datetime.now(UTC)
        if stuck := _stuck(deployment):
            raise LaunchRefusedError(f"the rollout of version {rollout.version} is stuck: {stuck}")
        with _asking():
            self._await_change(deployment, seconds)
        return None

    def go_back(self, rollout: RolloutStarted) -> None:
        """Name the version that served before; the very first has none and is left as it is."""
        if rollout.replaces is not None:
            self._patch(rollout.replaces, f"{rollout.rollout}-back")

    def _read(self) -> Any:
        with _asking():
            return self._deployments.read_namespaced_deployment(
                self._settings.serving_deployment, self._settings.namespace, _request_timeout=_TIMEOUT_S
            )

    def _patch(self, version: int, rollout: str) -> None:
        annotations = self._read().spec.template.metadata.annotations or {}
        if annotations.get(ROLLOUT_ANNOTATION) == rollout:
            return
        pinned = {"name": MODEL_VERSION, "value": str(version)}
        template = {
            "metadata": {
                "annotations": {
                    ROLLOUT_ANNOTATION: rollout,
                    RESTARTED_ANNOTATION: datetime.now(UTC).isoformat(timespec="seconds"),
                }
            },
            "spec": {"containers": [{"name": self._settings.serving_container, "env": [pinned]}]},
        }
        with _asking():
            self._deployments.patch_namespaced_deployment(
                self._settings.serving_deployment,
                self._settings.namespace,
                {"spec": {"template": template}},
                _request_timeout=_TIMEOUT_S,
            )

    def _await_change(self, deployment: Any, seconds: float) -> None:
        changes = watch.Watch().stream(
            self._deployments.list_namespaced_deployment,
            self._settings.namespace,
            field_selector=f"metadata.name={deployment.metadata.name}",
            resource_version=deployment.metadata.resource_version,
            timeout_seconds=max(1, round(seconds)),
            _request_timeout=seconds + _TIMEOUT_S,
        )
        next(changes, None)


def _complete(deployment: Any) -> bool:
    status, wanted = deployment.status, deployment.spec.replicas
    return bool(
        (status.observed_generation or 0) >= deployment.metadata.generation
        and (status.updated_replicas or 0) == wanted
        and (status.replicas or 0) == wanted
        and (status.available_replicas or 0) == wanted
    )


def _stuck(deployment: Any) -> str | None:
    if (deployment.status.observed_generation or 0) < deployment.metadata.generation:
        return None
    for condition in deployment.status.conditions or []:
        if condition.type == "Progressing" and condition.reason == "ProgressDeadlineExceeded":
            return str(condition.message)
    return None
