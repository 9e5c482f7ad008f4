"""Trainings as Jobs, and rollouts as ``kubectl rollout restart`` does them.

What a training's pod looks like is said in a manifest, not here: a suspended CronJob is the template, as with
``kubectl create job --from=cronjob/training``. The control plane's Role says what it may do with all this.
"""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import urllib3
from kubernetes import client, config, watch

from control_plane import storage
from control_plane.cluster import connect
from control_plane.failures import Failure
from control_plane.launchers.base import (
    JobEnd,
    LauncherUnavailableError,
    LaunchRefusedError,
    arguments,
    job_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from control_plane.events import RolloutStarted, TrainingStarted
    from control_plane.settings import Kubernetes

BATCH_ANNOTATION = "pipelines/batch"
ROLLOUT_ANNOTATION = "pipelines/rollout"
BEFORE_ANNOTATION = "pipelines/before"
RESTARTED_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
MODEL_VERSION = "MODEL_VERSION"

Manifest: TypeAlias = dict[str, Any]

_TIMEOUT_S = 30
_ALREADY_THERE = 409
_NOT_THERE = 404
_INVALID = {400, 422}
_LOG_LINES = 20_000
_CRASHES = 3  # of one container, after which a version is taken for one that does not start


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
    """Each attempt is a Job whose name follows from batch and attempt, with one pod that is tried once.

    ``keep_log`` is given a job's name and the log of its pod, and returns where it put that.
    """

    def __init__(
        self, settings: Kubernetes, deadline_s: float, keep_log: Callable[[str, bytes], str]
    ) -> None:
        connect()
        self._settings = settings
        self._deadline_s = deadline_s
        self._keep_log = keep_log
        self._jobs = client.BatchV1Api()
        self._pods = client.CoreV1Api()

    def submit(self, started: TrainingStarted) -> None:
        """Create the Job; one of this name that is there already is met."""
        with _asking():
            manifest = job_manifest(started, self._template(), self._deadline_s)
            try:
                self._jobs.create_namespaced_job(
                    self._settings.namespace, manifest, _request_timeout=_TIMEOUT_S
                )
            except client.ApiException as error:
                if error.status != _ALREADY_THERE:
                    raise

    def _template(self) -> Manifest:
        # Read as it is: the client's classes would drop the fields that they do not know.
        answer = self._jobs.read_namespaced_cron_job(
            self._settings.training_template,
            self._settings.namespace,
            _preload_content=False,
            _request_timeout=_TIMEOUT_S,
        )
        found: Manifest = json.loads(answer.data)["spec"]["jobTemplate"]
        return found

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
                return JobEnd(Failure(reason=f"the Job {name} is gone"), None)
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
                pods = self._pods_of(job.metadata.name)
                failure = self._failure(pods, condition) if condition.type == "Failed" else None
                return JobEnd(failure, seconds, self._log(job.metadata.name, pods))
        return None

    def _pods_of(self, job: str) -> list[Any]:
        found = self._pods.list_namespaced_pod(
            self._settings.namespace, label_selector=f"job-name={job}", _request_timeout=_TIMEOUT_S
        )
        return list(found.items)

    def _failure(self, pods: list[Any], condition: Any) -> Failure:
        if condition.reason == "DeadlineExceeded":
            return Failure(reason=f"not done after {self._deadline_s:g} s")
        return Failure.read(next(filter(None, map(_last_words, pods)), str(condition.message)))

    def _log(self, job: str, pods: list[Any]) -> str | None:
        """Keep the pod's log, which goes with the pod when the Job is cleaned up."""
        for pod in pods:
            try:
                answer = self._pods.read_namespaced_pod_log(
                    pod.metadata.name,
                    self._settings.namespace,
                    tail_lines=_LOG_LINES,
                    _preload_content=False,
                    _request_timeout=_TIMEOUT_S,
                )
                return self._keep_log(job, answer.data)
            except client.ApiException as error:
                if error.status not in {*_INVALID, _NOT_THERE}:  # of a pod that never ran there is none
                    raise
            except storage.StorageUnavailableError as error:
                raise LauncherUnavailableError(str(error)) from error
        return None


def _last_words(pod: Any) -> str | None:
    """Return what the pod's container said when it ended last, or how it ended."""
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated or (status.last_state and status.last_state.terminated)
        if ended:
            return (ended.message or "").strip() or f"{ended.reason}, exit code {ended.exit_code}"
    return None


def job_manifest(started: TrainingStarted, template: Manifest, deadline_s: float) -> Manifest:
    """Return the attempt's Job: the template with a name, a deadline and what to train on.

    The first container gets BATCH, ATTEMPT and ACCEPT_PROFILE, which its arguments name, and IMAGE, its own
    for executors.
    """
    job = copy.deepcopy(template)
    metadata = job.setdefault("metadata", {})
    metadata["name"] = job_name(started)
    metadata.setdefault("annotations", {})[BATCH_ANNOTATION] = started.batch
    job["spec"] |= {
        "backoffLimit": 0,  # another try is an attempt of its own, which the log tells of
        "activeDeadlineSeconds": max(1, round(deadline_s)),
    }
    container = job["spec"]["template"]["spec"]["containers"][0]
    told = {name.upper(): value for name, value in arguments(started).items()} | {"IMAGE": container["image"]}
    container["env"] = [
        # Kubernetes expands $(NAME) in a value, and a batch may be called so.
        *({"name": name, "value": value.replace("$(", "$$(")} for name, value in told.items()),
        *container.get("env", []),
    ]
    return job


@dataclass(frozen=True)
class Pinned:
    """What a rollout writes into the pod template; null is what is not there."""

    version: str | None
    rollout: str | None
    restarted: str | None


def _pinned(deployment: Any, container: str) -> Pinned:
    template = deployment.spec.template
    annotations = template.metadata.annotations or {}
    version = next(
        (
            entry.value
            for one in template.spec.containers
            if one.name == container
            for entry in one.env or []
            if entry.name == MODEL_VERSION
        ),
        None,
    )
    return Pinned(version, annotations.get(ROLLOUT_ANNOTATION), annotations.get(RESTARTED_ANNOTATION))


class KubernetesRolloutLauncher:
    """Patches the pod template of the serving Deployment, so that a restarted pod loads the same version."""

    def __init__(self, settings: Kubernetes) -> None:
        connect()
        self._settings = settings
        self._deployments = client.AppsV1Api()
        self._pods = client.CoreV1Api()

    def start(self, rollout: RolloutStarted) -> None:
        """Name the version in the pod template, unless this rollout has done so before."""
        deployment = self._read()
        before = _pinned(deployment, self._settings.serving_container)
        if before.rollout == str(rollout.rollout):
            return
        restarted = datetime.now(UTC).isoformat(timespec="seconds")
        self._pin(
            Pinned(str(rollout.version), str(rollout.rollout), restarted),
            remembered={BEFORE_ANNOTATION: json.dumps(asdict(before))},
        )

    def wait(self, rollout: RolloutStarted, seconds: float) -> datetime | None:
        """Return now if every pod is of the new template and available (as ``rollout status``)."""
        deployment = self._read()
        if _complete(deployment):
            return datetime.now(UTC)
        if stuck := _stuck(deployment) or self._crashing(deployment, rollout):
            raise LaunchRefusedError(f"the rollout of version {rollout.version} is stuck: {stuck}")
        with _asking():
            self._await_change(deployment, seconds)
        return None

    def go_back(self, rollout: RolloutStarted) -> None:
        """Give the pod template the form that it had, so that the pods of before are the right ones again."""
        deployment = self._read()
        if _pinned(deployment, self._settings.serving_container).rollout == str(rollout.rollout):
            before = json.loads(deployment.metadata.annotations[BEFORE_ANNOTATION])
            self._pin(Pinned(**before))

    def _read(self) -> Any:
        with _asking():
            return self._deployments.read_namespaced_deployment(
                self._settings.serving_deployment, self._settings.namespace, _request_timeout=_TIMEOUT_S
            )

    def _crashing(self, deployment: Any, rollout: RolloutStarted) -> str | None:
        """Return the last words of a new pod that has crashed again and again."""
        labels = ",".join(f"{name}={value}" for name, value in deployment.spec.selector.match_labels.items())
        with _asking():
            pods = self._pods.list_namespaced_pod(
                self._settings.namespace, label_selector=labels, _request_timeout=_TIMEOUT_S
            )
        for pod in pods.items:
            ours = (pod.metadata.annotations or {}).get(ROLLOUT_ANNOTATION) == str(rollout.rollout)
            crashes = sum(status.restart_count for status in pod.status.container_statuses or [])
            if ours and crashes >= _CRASHES:
                return f"{pod.metadata.name} has crashed {crashes} times, {_last_words(pod)}"
        return None

    def _pin(self, pinned: Pinned, remembered: dict[str, str] | None = None) -> None:
        version = {"value": pinned.version} if pinned.version else {"$patch": "delete"}
        container = {
            "name": self._settings.serving_container,
            "env": [{"name": MODEL_VERSION, **version}],
        }
        annotations = {ROLLOUT_ANNOTATION: pinned.rollout, RESTARTED_ANNOTATION: pinned.restarted}
        template = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
        with _asking():
            self._deployments.patch_namespaced_deployment(
                self._settings.serving_deployment,
                self._settings.namespace,
                {"metadata": {"annotations": remembered or {}}, "spec": {"template": template}},
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
