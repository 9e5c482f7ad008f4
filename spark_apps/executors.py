"""Spark's executors as pods of their own, with the driver in this very pod (client mode).

The pods' form is a manifest, mounted here as the executors' template. ``python -m spark_apps.executors`` is
what their container runs: it becomes the executor that Spark's variables describe.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark
from pydantic import Field
from pydantic_settings import BaseSettings

from control_plane.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping

MASTER = "k8s://"

_OPTION = "SPARK_JAVA_OPT_"
_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_BACKEND_OPTIONS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}


class Executors(BaseSettings):
    """How many executors there are, how large, and what their pods are made of."""

    executors: int = Field(1, ge=1, description="pods beside the driver's")
    executor_cores: int = Field(2, ge=1, description="tasks of one executor at the same time")
    executor_cpu: str = Field("1", description="what one executor's pod asks Kubernetes for")
    executor_memory: str = Field("1g", pattern=r"^\d+[mg]$", description="heap of one executor's JVM")
    executor_template: Path = Field(
        Path("/etc/pipelines/executor.yaml"), description="the manifest of an executor's pod"
    )
    image: str = Field(min_length=1, description="of this pod, which the executors' pods take as well")
    pod_name: str = Field(min_length=1, description="of this pod, which owns the executors")
    pod_ip: str = Field(min_length=1, description="at which the executors reach this pod")
    pod_namespace: str = Field(min_length=1, description="of this pod, and the executors")

    @property
    def slots(self) -> int:
        """Tasks that run at the same time."""
        return self.executors * self.executor_cores


def options(settings: Executors, java_options: str) -> dict[str, str]:
    """Return Spark's options for these executors, whose JVMs get ``java_options``."""
    return {
        "spark.kubernetes.namespace": settings.pod_namespace,
        # Executors belong to the driver's pod, and Kubernetes removes them with it, however it ends.
        "spark.kubernetes.driver.pod.name": settings.pod_name,
        "spark.kubernetes.container.image": settings.image,
        "spark.kubernetes.executor.podTemplateFile": str(settings.executor_template),
        "spark.kubernetes.executor.podTemplateContainerName": "executor",
        "spark.kubernetes.executor.request.cores": settings.executor_cpu,
        "spark.kubernetes.executor.disableConfigMap": "true",  # it would hold nothing, and needs a right
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",  # there are none, and it needs a right
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        "spark.executor.instances": str(settings.executors),
        "spark.executor.cores": str(settings.executor_cores),
        "spark.executor.memory": settings.executor_memory,
        "spark.executor.extraJavaOptions": java_options,
        "spark.driver.host": settings.pod_ip,
        "spark.driver.bindAddress": settings.pod_ip,
        # All executors or, after a minute, those that there are.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    }


def command(environment: Mapping[str, str]) -> list[str]:
    """Return the command of the executor that Spark's variables in ``environment`` describe."""
    numbered = sorted(int(name.removeprefix(_OPTION)) for name in environment if name.startswith(_OPTION))
    memory, home = environment["SPARK_EXECUTOR_MEMORY"], Path(pyspark.__file__).parent
    return [
        str(Path(environment["JAVA_HOME"]) / "bin" / "java"),
        *(environment[f"{_OPTION}{number}"] for number in numbered),
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        f"{home}/conf/:{home}/jars/*",  # as the driver's, or the class archive does not fit
        _BACKEND,
        *(word for option, name in _BACKEND_OPTIONS.items() for word in (option, environment[name])),
    ]


def settings() -> Executors:
    """Read the settings from the environment."""
    return load(Executors)


if __name__ == "__main__":
    executor = command(os.environ)
    os.execv(executor[0], executor)  # noqa: S606
