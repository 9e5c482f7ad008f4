"""Which Java is taken, and what is said when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cjdk
import pytest

from control_plane.sandbox import java
from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

ALL_MODULES = f"java.base {java.NEEDED_MODULE} jdk.zipfs"


@pytest.fixture
def jvm_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where distributions install; nothing is there, on the path or in JAVA_HOME at first."""
    monkeypatch.setattr(java, "JVM_FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


@pytest.fixture
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise cjdk.InstallError("no network")

    monkeypatch.setattr(cjdk, "java_home", refuse)
    monkeypatch.setattr(java.os, "geteuid", lambda: 1000)


def install(home: Path, version: str, modules: str = ALL_MODULES) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return home


@pytest.mark.parametrize(
    ("version", "major"), [("17.0.15", 17), ("1.8.0_392", 8), ("25", 25), ("21-ea", 21), ("", 0)]
)
def test_the_major_version_is_read_from_every_form(version: str, major: int) -> None:
    assert java.major_version(version) == major


def test_java_17_wins_over_a_newer_one(jvm_folder: Path) -> None:
    install(jvm_folder / "a-temurin-25", "25.0.1")
    wanted = install(jvm_folder / "b-openjdk-17", "17.0.15")
    assert java.java_home() == wanted


def test_a_named_java_is_taken_though_another_is_preferred(
    jvm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(jvm_folder / "openjdk-17", "17.0.15")
    named = install(jvm_folder / "elsewhere" / "temurin-25", "25.0.1")
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert java.java_home() == named


def test_a_named_java_that_is_too_old_is_passed_over(
    jvm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable = install(jvm_folder / "openjdk-17", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(install(jvm_folder / "elsewhere" / "openjdk-11", "11.0.2")))
    assert java.java_home() == usable


def test_the_java_of_the_path_is_found(jvm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = install(jvm_folder / "somewhere" / "openjdk-21", "21.0.2")
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert java.java_home() == home


def test_a_java_without_the_vector_module_is_not_usable(jvm_folder: Path) -> None:
    found = java.inspect(install(jvm_folder / "cut-down", "17.0.1", modules="java.base"))
    assert found is not None
    assert not found.usable


def test_a_folder_without_java_is_none(tmp_path: Path) -> None:
    assert java.inspect(tmp_path) is None


def test_a_missing_java_is_brought_by_cjdk(jvm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bring(vendor: str, version: str) -> Path:
        return install(jvm_folder / "cache" / vendor, f"{version}.0.1")

    monkeypatch.setattr(cjdk, "java_home", bring)
    assert java.java_home() == jvm_folder / "cache" / "temurin"


@pytest.mark.usefixtures("no_downloads")
def test_one_sentence_says_what_is_here_and_what_to_install(jvm_folder: Path) -> None:
    old = install(jvm_folder / "openjdk-11", "11.0.2")
    with pytest.raises(SandboxError) as caught:
        java.java_home()
    assert f"Java 11 in {old}" in str(caught.value)
    assert java.DEBIAN_PACKAGE in str(caught.value)
    assert "JAVA_HOME" in str(caught.value)
