from __future__ import annotations

from spark_apps import executors

VARIABLES = {
    "JAVA_HOME": "/java",
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_EXECUTOR_MEMORY": "1g",
    "SPARK_APPLICATION_ID": "app-1",
    "SPARK_EXECUTOR_POD_IP": "pod",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_EXECUTOR_POD_NAME": "exec-3",
    "OTHER": "1",
    **{f"SPARK_JAVA_OPT_{number}": f"-Dnumber={number}" for number in (10, 2, 0)},
}


def test_an_executor_is_started_as_spark_describes_it():
    command = executors.command(VARIABLES)
    assert command[:6] == ["/java/bin/java", "-Dnumber=0", "-Dnumber=2", "-Dnumber=10", "-Xms1g", "-Xmx1g"]
    told = command[command.index("--driver-url") :]
    assert dict(zip(told[::2], told[1::2], strict=True)) == {
        "--driver-url": "spark://CoarseGrainedScheduler@driver:7078",
        "--executor-id": "3",
        "--cores": "2",
        "--app-id": "app-1",
        "--hostname": "pod",
        "--resourceProfileId": "0",
        "--podName": "exec-3",
    }


def test_executors_have_the_drivers_image_and_belong_to_its_pod():
    settings = executors.Executors(
        executors=3, executor_cores=4, image="i", pod_name="driver", pod_ip="1", pod_namespace="n"
    )
    options = executors.options(settings, "-Xoption")
    assert settings.slots == 12
    assert options["spark.kubernetes.container.image"] == "i"
    assert options["spark.kubernetes.driver.pod.name"] == "driver"
    assert options["spark.executor.instances"] == "3"
    assert options["spark.executor.extraJavaOptions"] == "-Xoption"
