"""Class archives: used when they fit, never half-written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox import class_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(class_data, "folder", lambda: tmp_path)
    path = tmp_path / "a.jar"
    path.write_text("version 1")
    return path


def test_other_jars_or_another_java_have_another_archive(tmp_path: Path, jar: Path) -> None:
    first = class_data.archive_file("spark", tmp_path / "java-17", [jar])
    assert class_data.archive_file("spark", tmp_path / "java-17", [jar]) == first
    assert class_data.archive_file("spark", tmp_path / "java-21", [jar]) != first
    jar.write_text("version 1.1")
    assert class_data.archive_file("spark", tmp_path / "java-17", [jar]) != first


def test_one_that_was_not_recorded_is_not_used(tmp_path: Path, jar: Path) -> None:
    assert class_data.use(class_data.archive_file("spark", tmp_path, [jar])) == []


def test_one_is_used_only_once_it_is_whole(tmp_path: Path, jar: Path) -> None:
    archive = class_data.archive_file("spark", tmp_path, [jar])
    written = next(option for option in class_data.record(archive) if "ArchiveClassesAtExit" in option)
    target = written.partition("=")[2]
    assert target != str(archive)
    archive.with_name(target.rpartition("/")[2]).write_text("classes")
    assert class_data.use(archive) == []
    assert class_data.keep(archive)
    assert f"-XX:SharedArchiveFile={archive}" in class_data.use(archive)


def test_a_new_archive_replaces_the_programs_earlier_ones_only(tmp_path: Path, jar: Path) -> None:
    earlier, other = tmp_path / "spark-0123456789abcdef.jsa", tmp_path / "kafka-0123456789abcdef.jsa"
    archive = class_data.archive_file("spark", tmp_path, [jar])
    for path in (earlier, other, archive.with_suffix(".unfinished")):
        path.touch()
    assert class_data.keep(archive)
    assert sorted(tmp_path.glob("*.jsa")) == sorted([other, archive])


def test_a_program_that_recorded_nothing_keeps_nothing(tmp_path: Path, jar: Path) -> None:
    assert not class_data.keep(class_data.archive_file("spark", tmp_path, [jar]))
