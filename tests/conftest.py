"""What tests share: real servers and one Spark session, each started once and only if a test needs it.

Imports are inside the fixtures, so that unit tests alone start at once.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from control_plane.settings import Servers

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def java() -> Path:
    """The home of a usable Java, which JAVA_HOME names from here on."""
    from control_plane.sandbox.java import java_home  # noqa: PLC0415

    home = java_home()
    os.environ["JAVA_HOME"] = str(home)
    return home


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory, java: Path) -> Iterator[Servers]:
    """Kafka, HDFS and MLflow, empty at first; without the system's topics."""
    from control_plane.sandbox.sandbox import Sandbox  # noqa: PLC0415

    home = tmp_path_factory.mktemp("sandbox")
    with Sandbox(home) as servers:
        yield servers
    shutil.rmtree(home / "data")  # the logs stay


@pytest.fixture(scope="session")
def spark(java: Path) -> Iterator[SparkSession]:
    """One small Spark session for the whole run; it ends with the run."""
    from spark_apps.session import end_session, spark_session  # noqa: PLC0415

    session = spark_session("tests", cores=2, memory="1g", conf={"spark.sql.shuffle.partitions": "2"})
    yield session
    end_session(session)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real rows and facts of the dataset, where the project's workplace has them."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not here: real rows of the dataset are not part of the project")
    return SHARED_DATA
