"""Access to the Kubernetes API: from a pod by its service account, from elsewhere by KUBECONFIG."""

from __future__ import annotations

import os

from kubernetes import config


def connect() -> None:
    """Let the API's clients know where it is. Raises :class:`kubernetes.config.ConfigException`."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config()
    else:
        config.load_kube_config()
