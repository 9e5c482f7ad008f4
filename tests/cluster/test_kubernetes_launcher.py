"""The launchers of Kubernetes on a real cluster: that of KUBECONFIG, in a namespace made for the test.

The namespace has the Pod Security level ``restricted``; pods run shell scripts in the project's own image.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from control_plane.events import RolloutStarted, TrainingStarted
from control_plane.failures import Failure
from control_plane.launchers.base import JobEnd, LauncherUnavailableError, LaunchRefusedError
from control_plane.settings import Kubernetes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from control_plane.launchers.kubernetes import KubernetesTrainingLauncher

IMAGE = "localhost/car-price-pipelines:dev"
PATIENCE_S = 120
SLEEP = "trap exit TERM; sleep 600 & wait"  # the first process of a container has to ask for its SIGTERM


@pytest.fixture(scope="module")
def settings(cluster: Any) -> Iterator[Kubernetes]:
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core = cluster.CoreV1Api()
    core.create_namespace({"metadata": {"name": namespace, "labels": labels}})
    yield Kubernetes(namespace=namespace)
    core.delete_namespace(namespace)


def template(cluster: Any, settings: Kubernetes, script: str, **resources: str) -> Kubernetes:
    """Make a template of trainings that run ``script``, and return settings that name it."""
    name = f"training-{uuid.uuid4().hex[:6]}"
    container = {
        "name": "training",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script, "job", "$(BATCH)", "$(ATTEMPT)"],
        "env": [{"name": "SERVER", "value": "somewhere"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"} | resources},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    job = {"spec": {"ttlSecondsAfterFinished": 60, "template": {"spec": pod}}}
    cron_job = {
        "metadata": {"name": name},
        "spec": {"suspend": True, "schedule": "0 0 1 1 *", "jobTemplate": job},
    }
    cluster.BatchV1Api().create_namespaced_cron_job(settings.namespace, cron_job)
    return settings.model_copy(update={"training_template": name})


def launcher(
    cluster: Any, settings: Kubernetes, script: str, deadline_s: float = 60, **resources: str
) -> KubernetesTrainingLauncher:
    from control_plane.launchers.kubernetes import KubernetesTrainingLauncher  # noqa: PLC0415

    chosen = template(cluster, settings, script, **resources)
    return KubernetesTrainingLauncher(chosen, deadline_s, lambda _job, log: log.decode())


def started(kind: str = "batch") -> TrainingStarted:
    return TrainingStarted(batch=f"{kind} {uuid.uuid4().hex}", attempt=1)


def run(
    cluster: Any,
    settings: Kubernetes,
    script: str,
    attempt: TrainingStarted | None = None,
    deadline_s: float = 60,
) -> JobEnd:
    attempt, runs = attempt or started(), launcher(cluster, settings, script, deadline_s)
    runs.submit(attempt)
    return ended(runs, attempt)


def ended(runs: KubernetesTrainingLauncher, attempt: TrainingStarted) -> JobEnd:
    give_up = time.monotonic() + PATIENCE_S
    while (end := runs.wait(attempt, 5)) is None:
        assert time.monotonic() < give_up
    return end


def test_a_job_that_ends_well_has_no_reason(cluster, settings):
    end = run(cluster, settings, "exit 0")
    assert end.reason is None
    assert end.seconds is not None


def test_the_job_gets_batch_attempt_and_servers_under_the_level_restricted(cluster, settings):
    attempt = started("it's $(SERVER)")
    script = 'echo "$1 $2 $ACCEPT_PROFILE $SERVER $(id -u) $IMAGE" > /dev/termination-log; exit 1'
    told = f"{attempt.batch} 1 false somewhere 10001 {IMAGE}"
    assert run(cluster, settings, script, attempt).reason == told


def test_a_failed_job_says_why_itself(cluster, settings):
    assert run(cluster, settings, "echo no rows > /dev/termination-log; exit 1").reason == "no rows"


def test_a_failed_job_may_say_that_it_cannot_change(cluster, settings):
    said = Failure(reason="the batch is empty", final=True)
    script = f"echo '{said.message()}' > /dev/termination-log; exit 1"
    assert run(cluster, settings, script).failure == said


def test_a_failed_job_that_says_nothing_is_told_by_the_end_of_its_log(cluster, settings):
    assert run(cluster, settings, "echo the last words; exit 3").reason == "the last words"
    assert run(cluster, settings, "exit 3").reason == "Error, exit code 3"


def test_a_job_past_its_deadline_is_ended(cluster, settings):
    assert run(cluster, settings, SLEEP, deadline_s=2).reason == "not done after 2 s"


def test_a_job_that_runs_or_has_ended_is_met_and_not_started_again(cluster, settings):
    attempt, runs = started(), launcher(cluster, settings, "exit 0")
    runs.submit(attempt)
    runs.submit(attempt)
    assert ended(runs, attempt).reason is None
    launcher(cluster, settings, "exit 1").submit(attempt)
    assert ended(runs, attempt).reason is None


def test_a_deleted_job_is_over(cluster, settings):
    attempt, runs = started(), launcher(cluster, settings, SLEEP)
    runs.submit(attempt)
    assert runs.wait(attempt, 1) is None
    (job,) = [
        job.metadata.name
        for job in cluster.BatchV1Api().list_namespaced_job(settings.namespace).items
        if job.metadata.annotations["pipelines/batch"] == attempt.batch
    ]
    cluster.BatchV1Api().delete_namespaced_job(job, settings.namespace, propagation_policy="Foreground")
    assert ended(runs, attempt).reason == f"the Job {job} is gone"


def test_a_job_that_cannot_be_is_refused_and_a_missing_namespace_is_worth_another_try(cluster, settings):
    # A template is checked when it is applied; the batch's name is what only the Job itself can get wrong.
    endless = TrainingStarted(batch="b" * 300_000, attempt=1)
    with pytest.raises(LaunchRefusedError, match="422"):
        launcher(cluster, settings, "exit 0").submit(endless)
    nowhere = settings.model_copy(update={"training_template": "no-such-template"})
    from control_plane.launchers.kubernetes import KubernetesTrainingLauncher  # noqa: PLC0415

    with pytest.raises(LauncherUnavailableError, match="no-such-template"):
        KubernetesTrainingLauncher(nowhere, 60, lambda _job, _log: "").submit(started())


def test_the_log_of_a_job_is_kept_and_its_place_told(cluster, settings):
    end = run(cluster, settings, "echo one; echo two; exit 1")
    assert end.logs == "one\ntwo\n"


@pytest.fixture
def serving(cluster: Any, settings: Kubernetes) -> Iterator[Kubernetes]:
    name = f"serving-{uuid.uuid4().hex[:6]}"
    labels = {"app": name}
    container = {
        "name": "serving",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        # A version 9 does not get ready, as one whose model cannot be loaded.
        "command": ["sh", "-c", '[ "$MODEL_VERSION" != 9 ] && echo > /scratch/ready; exec sleep 600'],
        "readinessProbe": {"exec": {"command": ["cat", "/scratch/ready"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "env": [{"name": "OTHER", "value": "kept"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    restricted = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {
        "containers": [container],
        "securityContext": restricted,
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    deployment = {
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "progressDeadlineSeconds": 600,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    cluster.AppsV1Api().create_namespaced_deployment(settings.namespace, deployment)
    yield settings.model_copy(update={"serving_deployment": name})
    cluster.AppsV1Api().delete_namespaced_deployment(name, settings.namespace)


def pinned(cluster: Any, settings: Kubernetes) -> dict[str, str]:
    deployment = cluster.AppsV1Api().read_namespaced_deployment(
        settings.serving_deployment, settings.namespace
    )
    return {entry.name: entry.value for entry in deployment.spec.template.spec.containers[0].env}


def until_it_answers(runs: Any, rollout: RolloutStarted) -> datetime:
    give_up = time.monotonic() + PATIENCE_S
    while (since := runs.wait(rollout, 5)) is None:
        assert time.monotonic() < give_up
    return since


def test_a_rollout_replaces_every_pod_and_one_that_does_not_get_ready_goes_back(cluster, serving):
    from control_plane.launchers.kubernetes import KubernetesRolloutLauncher  # noqa: PLC0415

    runs = KubernetesRolloutLauncher(serving)
    first = RolloutStarted(version=1, rollout=1, replaces=None)
    runs.start(first)
    assert until_it_answers(runs, first) <= datetime.now(UTC)
    assert pinned(cluster, serving) == {"MODEL_VERSION": "1", "OTHER": "kept"}

    generation = generation_of(cluster, serving)
    runs.start(first)
    assert generation_of(cluster, serving) == generation, "beginning twice restarts nothing"

    broken = RolloutStarted(version=9, rollout=2, replaces=1)
    runs.start(broken)
    assert runs.wait(broken, 3) is None
    runs.go_back(broken)
    runs.go_back(broken)
    until_it_answers(runs, broken)
    assert pinned(cluster, serving)["MODEL_VERSION"] == "1"


def generation_of(cluster: Any, settings: Kubernetes) -> int:
    deployment = cluster.AppsV1Api().read_namespaced_deployment(
        settings.serving_deployment, settings.namespace
    )
    return int(deployment.metadata.generation)


def test_a_rollout_that_kubernetes_gave_up_is_refused(cluster, serving):
    from control_plane.launchers.kubernetes import KubernetesRolloutLauncher  # noqa: PLC0415

    patch = {"spec": {"progressDeadlineSeconds": 2}}
    cluster.AppsV1Api().patch_namespaced_deployment(serving.serving_deployment, serving.namespace, patch)
    runs = KubernetesRolloutLauncher(serving)
    broken = RolloutStarted(version=9, rollout=1, replaces=None)
    runs.start(broken)
    with pytest.raises(LaunchRefusedError, match="the rollout of version 9 is stuck"):
        until_it_answers(runs, broken)
