"""What the tests on Kubernetes share. They run on the cluster of KUBECONFIG, and are skipped without one.

The cluster must have the images that ``k8s/images/build`` makes, by the names that this prints. ``.ci/run``
sees to all that where the workplace has a cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

K8S = Path(__file__).parents[2] / "k8s"


@pytest.fixture(scope="session")
def cluster() -> Any:
    """The API's client, for the cluster of KUBECONFIG."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    from kubernetes import client, config  # noqa: PLC0415

    config.load_config()
    try:
        client.VersionApi().get_code(_request_timeout=5)
    except Exception as error:
        pytest.skip(f"the cluster of KUBECONFIG does not answer: {error}")
    return client


@pytest.fixture(scope="session")
def kubectl() -> str:
    """The path of kubectl, which renders the manifests."""
    if (found := shutil.which("kubectl")) is None:
        pytest.skip("kubectl is not on the PATH")
    return found


@pytest.fixture(scope="session")
def rendered(kubectl: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[dict[str, Any]]]:
    """Return what returns the objects of an overlay, with more components where they are named."""
    import yaml  # noqa: PLC0415

    def render(overlay: str, *components: str) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp("overlay")
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "pipelines",
            "resources": [os.path.relpath(K8S / "overlays" / overlay, folder)],
            "components": [os.path.relpath(K8S / "components" / name, folder) for name in components],
            "labels": [
                {"pairs": {"app.kubernetes.io/part-of": "car-price-pipelines"}, "includeTemplates": True}
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        command = [kubectl, "kustomize", str(folder)]
        return list(
            yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        )

    return render
