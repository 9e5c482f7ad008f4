"""What jars.lock holds is fetched by its hashes, and is what the code asks for."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox import artifacts, jar_lock
from control_plane.sandbox.errors import SandboxError
from control_plane.sandbox.jar_lock import Jar
from spark_apps import jars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "org/example/thing/1.0/thing-1.0.jar"
CONTENT = b"a jar"
THING = Jar(PATH, hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The jar in the folder of a remote repository."""
    file = tmp_path / "remote" / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def remote(tmp_path: Path, published: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "remote")))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(jar_lock.time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize(
    "coordinates", [artifacts.KAFKA, artifacts.HADOOP, jars.COORDINATES, (jars.JERSEY_FROM,)]
)
def test_all_that_the_code_asks_for_is_locked(coordinates):
    found = jar_lock.locked(coordinates)
    assert all(len(jar.sha256) == 64 and jar.path.endswith(".jar") for jar in found)
    for coordinate in coordinates:
        group, artifact, version = coordinate.split(":")
        assert f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar" in {
            jar.path for jar in found
        }


def test_nothing_is_locked_that_the_code_does_not_ask_for():
    sections = [line.strip("[]") for line in jar_lock.LOCK.read_text().splitlines() if line.startswith("[")]
    asked = (artifacts.KAFKA, artifacts.HADOOP, jars.COORDINATES, (jars.JERSEY_FROM,))
    assert sections == ["+".join(one) for one in asked]


def test_what_is_written_is_read_again(tmp_path, published):
    lock = tmp_path / "jars.lock"
    jar_lock.write({("org.example:thing:1.0", "b:c:2"): [published]}, tmp_path / "remote", lock)
    assert jar_lock.locked(("org.example:thing:1.0", "b:c:2"), lock) == [THING]
    assert jar_lock.locked(("org.example:thing:1.0",), lock) == []


def test_a_jar_is_fetched_once_and_one_that_was_spoilt_again(tmp_path, remote, published):
    [file] = jar_lock.fetch([THING], tmp_path / "local", [remote])
    assert file.read_bytes() == CONTENT
    file.write_bytes(b"half of a j")
    assert jar_lock.fetch([THING], tmp_path / "local", [remote])[0].read_bytes() == CONTENT
    published.unlink()
    assert jar_lock.fetch([THING], tmp_path / "local", [remote]) == [file]


def test_a_mirror_that_lacks_it_is_passed_over(tmp_path, remote):
    [file] = jar_lock.fetch([THING], tmp_path / "local", [f"{remote}/mirror", remote])
    assert file.read_bytes() == CONTENT


def test_another_content_is_never_taken(tmp_path, remote, published):
    published.write_bytes(b"another jar")
    with pytest.raises(SandboxError, match=r"has another org/example/.* than jars\.lock says"):
        jar_lock.fetch([THING], tmp_path / "local", [remote])
    assert not (tmp_path / "local" / PATH).exists()


def test_a_jar_that_nobody_has_is_asked_for_three_times(tmp_path, remote, published, pauses):
    published.unlink()
    with pytest.raises(OSError, match="404"):
        jar_lock.fetch([THING], tmp_path / "local", [remote])
    assert pauses == [0, 1, 2]
