"""The Spark session of every app: small, quiet, reachable from this machine only, and tidy."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import BaseSettings
from pyspark import SparkContext
from pyspark.sql import SparkSession

from control_plane.sandbox import class_data
from control_plane.settings import load
from spark_apps import executors, jars

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGGING = Path(__file__).with_name("log4j2.properties")
STOP_TIMEOUT_S = 10.0
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_SCRATCH = "spark.pipelines.scratch"


class SparkUnavailableError(RuntimeError):
    """Spark cannot start here; the message says what is missing and what installs it."""


class SparkSettings(BaseSettings):
    """Where Spark runs: in this process's own JVM unless SPARK_MASTER names a cluster.

    ``k8s://https://kubernetes.default.svc`` is the cluster that this pod is in (``spark_apps.executors``).
    """

    spark_master: str | None = Field(None, description="a cluster; threads of this process unless given")
    spark_ui: bool = Field(False, description="whether Spark serves its own pages")

    @property
    def on_kubernetes(self) -> bool:
        """Whether executors are pods of their own."""
        return (self.spark_master or "").startswith(executors.MASTER)


def spark_session(
    app: str, *, cores: int | str, memory: str, conf: Mapping[str, str] | None = None
) -> SparkSession:
    """Start Spark for ``app`` with ``cores`` threads ("*": all) and a heap of ``memory`` ("1g").

    ``conf`` adds to the defaults and overrides them. Whatever Spark writes for itself goes to a folder that
    is removed when Python exits. Raises :class:`SparkUnavailableError` without Java or the extra jars.
    """
    settings = load(SparkSettings)
    java = java_home()
    scratch = Path(tempfile.mkdtemp(prefix=f"spark-{app}-"))
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:-UsePerfData -XX:TieredStopAtLevel=1")  # of its script
    # Else each of the JVM's compilers leaves up to 64 MB with the C library, in an arena of its own.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.environ["SPARK_LOCAL_DIRS"] = str(scratch)  # the option spark.local.dir does the same with a warning
    options = _merged(defaults(scratch, memory, java, ui=settings.spark_ui), conf or {})
    if settings.on_kubernetes:
        options = executors.options(executors.settings(), executor_java_options(java)) | options
    if not settings.spark_master:  # compose passes an empty one
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        options = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"} | options
    builder = SparkSession.builder.appName(app).master(settings.spark_master or f"local[{cores}]")
    for key, value in options.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    atexit.register(_clean_up, session, scratch, STOP_TIMEOUT_S)
    return session


def end_session(session: SparkSession, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Stop Spark and end its JVM, by force after ``timeout_s``. It happens by itself when Python exits."""
    _clean_up(session, _scratch(session), timeout_s)


def executor_java_options(java: Path) -> str:
    """Return what the JVMs of executors are told."""
    return " ".join((*_lean(java), f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}", "-Duser.timezone=UTC"))


def _lean(java: Path) -> tuple[str, ...]:
    return (
        "-XX:+UseSerialGC",  # small heaps: less memory and a quicker start than G1
        "-XX:-UsePerfData",  # else a file in /tmp/hsperfdata_<user>
        *class_data.use(jars.class_archive(java)),
    )


def defaults(scratch: Path, memory: str, java: Path, *, ui: bool = False) -> dict[str, str]:
    """Return the options that every app shares."""
    java_options = (
        *_lean(java),
        f"-XX:ErrorFile={scratch}/hs_err_%p.log",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dderby.system.home={scratch}",
        f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
        "-Duser.timezone=UTC",
    )
    return {
        _SCRATCH: str(scratch),
        "spark.driver.memory": memory,
        _JAVA_OPTIONS: " ".join(java_options),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.icu.caseMappings.enabled": "false",  # ICU takes a second of a start, and its memory
        # Unless it is set, whether tests run is asked of the environment again for every value of a column.
        "spark.sql.types.framework.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        # The other one asks for symbolic links, for each file by a process of its own (readlink).
        "spark.sql.streaming.checkpointFileManagerClass": (
            "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
        ),
        "spark.ui.enabled": str(ui).lower(),
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
    }


def _merged(options: dict[str, str], conf: Mapping[str, str]) -> dict[str, str]:
    """Let ``conf`` override ``options``; what it says to the JVM comes after what they say."""
    java_options = (options[_JAVA_OPTIONS], conf.get(_JAVA_OPTIONS, ""))
    return options | dict(conf) | {_JAVA_OPTIONS: " ".join(java_options).strip()}


def java_home() -> Path:
    """Return the home of the Java that Spark takes, after a look at whether all is here that it needs."""
    if lacking := jars.missing():
        raise SparkUnavailableError(
            f"{jars.jars_folder()} lacks {', '.join(lacking)}: "
            "run python -m spark_apps.jars, as make setup does."
        )
    if home := os.environ.get("JAVA_HOME"):
        return Path(home)
    if not (command := shutil.which("java")):
        raise SparkUnavailableError(
            "No Java was found: set JAVA_HOME to the home of a Java 17 or 21, or put its java on the PATH."
        )
    return Path(command).resolve().parent.parent


def _scratch(session: SparkSession) -> Path:
    folder = session.sparkContext.getConf().get(_SCRATCH)
    if not folder:
        raise ValueError("This session was not started by spark_session().")
    return Path(folder)


def _clean_up(session: SparkSession, scratch: Path, timeout_s: float) -> None:
    """End Spark's JVM, if the app has not, and remove its files."""
    gateway = session.sparkContext._gateway  # the only way to the JVM's process
    process: subprocess.Popen[bytes] | None = getattr(gateway, "proc", None)
    if process is not None and process.poll() is None:
        session.stop()
        if process.stdin:
            process.stdin.close()  # the JVM ends when its input does
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        SparkContext._gateway = SparkContext._jvm = None  # so that a later session starts a JVM of its own
    shutil.rmtree(scratch, ignore_errors=True)
