"""The manifests as data: valid, restricted, bounded, and open to nobody who is not named."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("local", "production")
KUBERNETES = "1.34"
PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"


@pytest.fixture(
    scope="module",
    params=[("local",), ("production",), ("local", "observability"), ("local", "shadow")],
    ids=" with ".join,
)
def objects(request: pytest.FixtureRequest, rendered: Any) -> list[dict[str, Any]]:
    return rendered(*request.param)


def templates(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each workload's name and its pod template, the executors' among them."""
    for one in objects:
        name, spec = one["metadata"]["name"], one.get("spec", {})
        if one["kind"] in {"Deployment", "StatefulSet"}:
            yield name, spec["template"]
        elif one["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]
    yield "executor", yaml.safe_load((K8S / "base" / "executor.yaml").read_text())


def test_every_object_is_valid_by_the_schema_of_kubernetes(objects):
    for one in objects:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_every_component_is_valid_and_explained():
    for folder in sorted((K8S / "components").iterdir()):
        assert (folder / "README.md").exists(), folder
        for file in folder.glob("*.yaml"):
            if file.name != "kustomization.yaml":
                for one in yaml.safe_load_all(file.read_text()):
                    kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.fixture(scope="module")
def namespace(cluster: Any, kubectl: str) -> Iterator[None]:
    """The namespace of the manifests, which a dry run does not make, gone again for the tests after these."""
    core = cluster.CoreV1Api()
    if "pipelines" in {found.metadata.name for found in core.list_namespace().items}:
        yield
        return
    core.create_namespace({"metadata": {"name": "pipelines"}})
    yield
    subprocess.run([kubectl, "delete", "namespace", "pipelines", "--timeout=120s"], check=True)


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_would_take_it(kubectl, overlay):
    command = [kubectl, "apply", "--dry-run=server", "-k", str(K8S / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_everything_is_under_the_level_restricted(objects):
    [namespace] = [one for one in objects if one["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, template in templates(objects):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_every_container_asks_for_what_it_needs_and_is_bounded(objects):
    for name, template in templates(objects):
        if name == "executor":
            continue  # Spark writes what the settings say into its pods
        for container in template["spec"]["containers"]:
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) == {"cpu", "memory"}, name
        for volume in template["spec"].get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], name


def test_each_workload_is_somebody_and_only_those_that_need_it_get_a_token(objects):
    accounts = {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"}
    bound = {
        subject["name"] for one in objects if one["kind"] == "RoleBinding" for subject in one["subjects"]
    }
    assert bound - {"shadow"} == {"control-plane", "serving", "training"}
    for name, template in templates(objects):
        account = template["spec"]["serviceAccountName"]
        assert account in accounts, name
        assert template["spec"].get("automountServiceAccountToken", True) == (account in bound), name


def test_no_manifest_holds_a_secret(objects):
    assert not [one["metadata"]["name"] for one in objects if one["kind"] == "Secret"]
    for one in (one for one in objects if one["kind"] == "ConfigMap"):
        for key in one["data"]:
            assert not any(word in key.lower() for word in ("password", "secret", "token")), key


def test_nobody_may_speak_unless_named(objects):
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    [default] = [one["spec"] for one in policies if one["metadata"]["name"] == "default-deny"]
    assert default["podSelector"] == {}
    assert set(default["policyTypes"]) == {"Ingress", "Egress"}
    assert [port["port"] for rule in default["egress"] for port in rule["ports"]] == [53, 53]
    assert "ingress" not in default
    named = {one["metadata"]["name"] for one in policies}
    assert {template["metadata"]["labels"][NAME] for _, template in templates(objects)} <= named


def test_what_one_may_say_the_other_may_hear(objects):
    """Each rule to speak to pods of a name has its counterpart, on the same port."""
    policies = [
        (one["spec"]["podSelector"].get("matchLabels", {}).get(NAME), one["spec"])
        for one in objects
        if one["kind"] == "NetworkPolicy"
    ]

    def flows(direction: str, peers: str) -> set[tuple[str, str, int | None]]:
        found = set()
        for name, spec in policies:
            for rule in spec.get(direction, []):
                others = [
                    other
                    for peer in rule.get(peers, [])
                    for expression in peer.get("podSelector", {}).get("matchExpressions", [])
                    for other in expression["values"]
                ]
                ports = [port["port"] for port in rule.get("ports", [{"port": None}])]
                for other in others:
                    pair = (name, other) if direction == "egress" else (other, name)
                    found |= {(*pair, port) for port in ports}
        return found

    assert flows("egress", "to") == flows("ingress", "from")
