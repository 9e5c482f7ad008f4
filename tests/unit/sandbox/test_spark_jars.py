"""What is put into pyspark's jars: all that Spark lacks, and nothing twice."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox import artifacts
from spark_apps import jars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

JERSEY_CLASS = "org/apache/hadoop/shaded/org/glassfish/jersey/internal/RuntimeDelegateImpl.class"
SHIPPED = [
    "scala-library-2.13.18.jar",
    "lz4-java-1.11.0.jar",
    "kryo-shaded-4.0.3.jar",
    "hive-exec-2.3.10-core.jar",
]


def repository(folder: Path, *names: str) -> list[Path]:
    """Make jars where Maven keeps them: .../<artifact>/<version>/<artifact>-<version>.jar."""
    paths = []
    for name in names:
        artifact, _, version = name.rpartition("-")
        path = folder / artifact / version / f"{name}.jar"
        path.parent.mkdir(parents=True)
        path.write_text(name)
        paths.append(path)
    return paths


def answering(found: list[Path], hadoop: Path) -> Callable[[Sequence[str]], list[Path]]:
    """Stand in for the Maven repositories: ``found``, and ``hadoop`` where Hadoop's jar is asked for."""
    return lambda coordinates: [hadoop] if jars.JERSEY_FROM in coordinates else found


@pytest.fixture
def hadoop(tmp_path: Path) -> Path:
    """A jar of Hadoop's with a class of Jersey and one of something else."""
    (path,) = repository(tmp_path / "hadoop", "hadoop-client-minicluster-3.5.0")
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr(JERSEY_CLASS, "jersey")
        jar.writestr("org/apache/hadoop/hdfs/MiniDFSCluster.class", "other")
    return path


@pytest.fixture
def folder(tmp_path: Path, hadoop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pyspark's folder of jars, beside a repository that has what the apps need."""
    wanted = repository(tmp_path / "m2", "kafka-clients-3.9.2", "lz4-java-1.8.0", "kryo-5.6.2")
    monkeypatch.setattr(artifacts, "jars", answering(wanted, hadoop))
    target = tmp_path / "jars"
    target.mkdir()
    for name in SHIPPED:
        (target / name).touch()
    return target


@pytest.mark.parametrize(
    ("jar", "artifact"),
    [
        ("kafka-clients-3.9.2.jar", "kafka-clients"),
        ("spark-sql-kafka-0-10_2.13-4.2.0.jar", "spark-sql-kafka-0-10_2.13"),
        ("netty-all-4.2.13.Final.jar", "netty-all"),
        ("hive-exec-2.3.10-core.jar", "hive-exec"),
        ("netty-transport-native-epoll-4.2.13.Final-linux-x86_64.jar", "netty-transport-native-epoll"),
        ("annotations-21.jar", "annotations"),
        ("nameless.jar", "nameless"),
    ],
)
def test_the_artifact_is_read_from_a_jars_name(jar: str, artifact: str) -> None:
    assert jars.artifact_name(jar) == artifact


def test_what_spark_ships_in_any_version_or_under_another_name_is_left_out(folder: Path) -> None:
    assert jars.install(folder) == ["kafka-clients-3.9.2.jar", jars.JERSEY_JAR]
    assert (folder / "kafka-clients-3.9.2.jar").read_text() == "kafka-clients-3.9.2"
    assert not (folder / "lz4-java-1.8.0.jar").exists()
    assert not (folder / "kryo-5.6.2.jar").exists()


def test_a_second_time_nothing_is_resolved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = jars.install(folder)
    monkeypatch.setattr(artifacts, "jars", lambda _: pytest.fail("resolved again"))
    assert jars.install(folder) == first


def test_missing_names_everything_until_all_is_there(folder: Path) -> None:
    assert jars.missing(folder) == [*jars.COORDINATES, jars.JERSEY_FROM]
    jars.install(folder)
    assert jars.missing(folder) == []
    (folder / "kafka-clients-3.9.2.jar").unlink()
    assert jars.missing(folder) == [*jars.COORDINATES, jars.JERSEY_FROM]


def test_a_new_version_replaces_the_old_one(
    folder: Path, hadoop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars.install(folder)
    monkeypatch.setattr(jars, "COORDINATES", ("org.example:newer:2.0",))
    newer = repository(tmp_path / "new", "kafka-clients-4.0.0")
    monkeypatch.setattr(artifacts, "jars", answering(newer, hadoop))
    assert jars.install(folder) == ["kafka-clients-4.0.0.jar", jars.JERSEY_JAR]
    assert not (folder / "kafka-clients-3.9.2.jar").exists()
    shutil.rmtree(folder)


def test_of_hadoops_jar_only_the_classes_that_webhdfs_lacks_are_taken(folder: Path) -> None:
    jars.install(folder)
    assert zipfile.ZipFile(folder / jars.JERSEY_JAR).namelist() == [JERSEY_CLASS]
