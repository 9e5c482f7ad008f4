"""What each workload may do in Kubernetes, by the word of the API server itself."""

from __future__ import annotations

import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAY = {
    "control-plane": {
        ("batch", "jobs", ""): {"create", "get", "list", "watch"},
        ("batch", "cronjobs", "training"): {"get"},
        ("", "pods", ""): {"list"},
        ("", "pods/log", ""): {"get"},
        ("apps", "deployments", "serving"): {"get", "list", "watch", "patch"},
    },
    "serving": {
        ("coordination.k8s.io", "leases", ""): {"create"},
        ("coordination.k8s.io", "leases", "serving"): {"create", "get", "list", "watch", "update"},
        ("coordination.k8s.io", "leases", "other"): {"create"},  # a creation has no name yet
    },
    "training": {
        ("", "pods", ""): {"create", "get", "list", "watch", "patch", "delete", "deletecollection"},
    },
    **{
        name: {} for name in ("executor", "monitoring", "watchers", "web", "kafka", "hdfs-namenode", "mlflow")
    },
}
VERBS = ("create", "get", "list", "watch", "update", "patch", "delete", "deletecollection")
RESOURCES = sorted(
    {resource for rights in MAY.values() for resource in rights}
    | {
        ("", "secrets", ""),
        ("", "configmaps", ""),
        ("", "services", ""),
        ("", "persistentvolumeclaims", ""),
        ("", "pods/exec", ""),
        ("apps", "deployments", ""),
        ("apps", "deployments", "control-plane"),
        ("apps", "statefulsets", ""),
        ("batch", "cronjobs", ""),
        ("coordination.k8s.io", "leases", "other"),
        ("rbac.authorization.k8s.io", "roles", ""),
        ("rbac.authorization.k8s.io", "rolebindings", ""),
    }
)


@pytest.fixture(scope="module")
def namespace(cluster: Any, kubectl: str, rendered: Any) -> Iterator[str]:
    """A namespace of its own with the accounts and roles of the local overlay, and nothing that runs."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    objects = [one for one in rendered("local") if one["kind"] in kinds]
    for one in objects:
        one["metadata"]["namespace"] = name
        for subject in one.get("subjects", []):
            subject["namespace"] = name
    cluster.CoreV1Api().create_namespace({"metadata": {"name": name}})
    subprocess.run([kubectl, "apply", "-f", "-"], input=yaml.safe_dump_all(objects), text=True, check=True)
    yield name
    cluster.CoreV1Api().delete_namespace(name)


@pytest.fixture
def allowed(cluster: Any, namespace: str) -> Callable[..., bool]:
    def ask(account: str, verb: str, group: str, resource: str, name: str) -> bool:
        as_account = cluster.ApiClient()
        user = f"system:serviceaccount:{namespace}:{account}"
        as_account.set_default_header("Impersonate-User", user)
        resource, _, subresource = resource.partition("/")
        attributes = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "name": name,
        }
        review = {"spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}}}
        answer = cluster.AuthorizationV1Api(as_account).create_self_subject_access_review(review)
        return bool(answer.status.allowed)

    return ask


@pytest.mark.parametrize("account", MAY)
def test_each_may_do_what_it_does_and_nothing_else(allowed, account):
    may = {
        resource: verbs
        for resource in RESOURCES
        if (verbs := {verb for verb in VERBS if allowed(account, verb, *resource)})
    }
    assert may == MAY[account]
