"""Jars from Maven: remembered, whole, and refused in one sentence."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import jgo
import pytest

from control_plane.sandbox import artifacts, class_data
from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

COORDINATES = ("org.example:thing:1.0",)


class Artifact:
    """A jar that a repository has.

    The first ``refused`` downloads of it fail at once, the first ``broken`` others are cut short.
    """

    def __init__(self, path: Path, broken: int = 0, refused: int = 0) -> None:
        self.path = path
        self.broken = broken
        self.refused = refused
        self.downloads = 0

    def resolve(self) -> Path:
        if self.refused:
            self.refused -= 1
            raise ConnectionError("no such host")
        if not self.path.exists():
            self.downloads += 1
            with zipfile.ZipFile(self.path, "w") as jar:
                jar.writestr("a.class", "x" * 100)
            if self.downloads <= self.broken:
                self.path.write_bytes(self.path.read_bytes()[:50])
        return self.path


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_data, "folder", lambda: tmp_path)


def publish(monkeypatch: pytest.MonkeyPatch, artifact: Artifact) -> list[str]:
    asked: list[str] = []

    def resolve(endpoint: str, repositories: dict[str, str]) -> list[Artifact]:
        asked.append(endpoint)
        return [artifact]

    monkeypatch.setattr(jgo, "resolve", resolve)
    return asked


def test_what_was_found_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = publish(monkeypatch, Artifact(tmp_path / "thing.jar"))
    assert artifacts.jars(COORDINATES) == artifacts.jars(COORDINATES) == [tmp_path / "thing.jar"]
    assert asked == ["org.example:thing:1.0"]


def test_a_jar_that_is_gone_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = publish(monkeypatch, Artifact(tmp_path / "thing.jar"))
    artifacts.jars(COORDINATES)
    (tmp_path / "thing.jar").unlink()
    assert artifacts.jars(COORDINATES)[0].exists()
    assert len(asked) == 2


def test_a_download_that_was_cut_short_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, Artifact(tmp_path / "thing.jar", broken=1))
    assert zipfile.is_zipfile(artifacts.jars(COORDINATES)[0])


def test_a_download_that_failed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(artifacts.time, "sleep", pauses.append)
    publish(monkeypatch, Artifact(tmp_path / "thing.jar", refused=2))
    assert zipfile.is_zipfile(artifacts.jars(COORDINATES)[0])
    assert pauses == [1, 2]
    (tmp_path / "thing.jar").unlink()
    publish(monkeypatch, Artifact(tmp_path / "thing.jar", refused=3))
    with pytest.raises(SandboxError, match="no such host"):
        artifacts.jars(COORDINATES)


def test_one_that_never_comes_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, Artifact(tmp_path / "thing.jar", broken=99))
    with pytest.raises(SandboxError, match="not a jar file after 3 downloads"):
        artifacts.jars(COORDINATES)


def test_without_a_network_the_coordinates_and_the_remedy_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(jgo, "resolve", refuse)
    with pytest.raises(
        SandboxError, match=r"Cannot fetch org\.example:thing:1\.0: Name .* check the connection"
    ):
        artifacts.jars(COORDINATES)
