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
def rendered(kubectl: str) -> Callable[[str], list[dict[str, Any]]]:
    """Return what returns the objects of an overlay."""
    import yaml  # noqa: PLC0415

    def render(overlay: str) -> list[dict[str, Any]]:
        command = [kubectl, "kustomize", str(K8S / "overlays" / overlay)]
        return list(
            yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        )

    return render
