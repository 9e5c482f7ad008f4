"""Leadership by a Lease of a real API server."""

from __future__ import annotations

import queue
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from spark_apps.serving.leadership import Leader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spark_apps.serving.lease import LeaseLeadership

PATIENCE_S = 30


@pytest.fixture(scope="module")
def namespace(cluster: Any) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.CoreV1Api().create_namespace({"metadata": {"name": name}})
    yield name
    cluster.CoreV1Api().delete_namespace(name)


class ItIsOverError(Exception):
    """The test has ended; so does a server that still waits."""


class Servers:
    """Servers that want one Lease, and what became of them in order."""

    def __init__(self, namespace: str) -> None:
        self.happened: queue.Queue[tuple[str, str]] = queue.Queue()
        self._namespace = namespace
        self._lease = f"serving-{uuid.uuid4().hex[:6]}"
        self._all: list[LeaseLeadership] = []
        self._leading: list[threading.Thread] = []
        self._is_over = False

    def start(self, name: str, deference_s: float = 0) -> LeaseLeadership:
        from spark_apps.serving.lease import LeaseLeadership  # noqa: PLC0415

        server = LeaseLeadership(
            self._namespace,
            self._lease,
            name,
            deference=lambda: self._defer(deference_s),
            lost=lambda _: self.happened.put((name, "lost")),
        )
        self._all.append(server)
        thread = threading.Thread(target=self._lead, args=(name, server), daemon=True)
        thread.start()
        self._leading.append(thread)
        return server

    def _lead(self, name: str, server: LeaseLeadership) -> None:
        with suppress(ItIsOverError):
            predecessor = server.acquire()
            self.happened.put((name, f"after {predecessor.server}" if predecessor else "first"))

    def _defer(self, deference_s: float) -> float:
        if self._is_over:
            raise ItIsOverError
        return deference_s

    def next(self) -> tuple[str, str]:
        return self.happened.get(timeout=PATIENCE_S)

    def end(self) -> None:
        """End all, also those that still wait: what one gives up wakes the others."""
        self._is_over = True
        for server in self._all:
            server.release()
        for thread in self._leading:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        for server in self._all:
            server.release()  # what was taken in between


@pytest.fixture
def servers(namespace: str) -> Iterator[Servers]:
    made = Servers(namespace)
    yield made
    made.end()


class Wire:
    """A way to the API server that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.is_cut = False
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Let nothing through any more, and say so to nobody: as a frozen network does."""
        self.is_cut = True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.is_cut:
                    continue
                target.sendall(data)

    def close(self) -> None:
        for end in (self._listener, *self._open):
            end.close()


def through(server: LeaseLeadership, wire: Wire) -> None:
    """Let the server reach the API by the wire from now on."""
    client = server._leases.api_client
    client.configuration.host = f"https://127.0.0.1:{wire.port}"
    client.rest_client.pool_manager.clear()


@pytest.fixture
def wire(cluster: Any) -> Iterator[Wire]:
    from urllib.parse import urlsplit  # noqa: PLC0415

    address = urlsplit(cluster.Configuration.get_default_copy().host)
    made = Wire(str(address.hostname), address.port or 443)
    yield made
    made.close()


def test_one_leads_and_the_next_one_when_it_gives_up(servers):
    first = servers.start("a")
    assert servers.next() == ("a", "first")
    first.proclaim(Leader(server="a", epoch=7))
    second = servers.start("b")
    with pytest.raises(queue.Empty):
        servers.happened.get(timeout=4)  # longer than the Lease: it is renewed
    first.release()
    assert servers.next()[0] == "b"
    assert second._held is not None
    assert second._held.epoch == 7


def test_a_holder_that_says_nothing_any_more_is_succeeded(servers):
    from spark_apps.serving import lease  # noqa: PLC0415

    first = servers.start("a")
    assert servers.next() == ("a", "first")
    servers.start("b")
    with first._writing:  # its renewals wait, as those of a paused process
        assert servers.next() == ("a", "lost"), "it ends itself before another may lead"
        silent = time.monotonic()
        assert servers.next() == ("b", "after a")
        assert time.monotonic() - silent > (lease.LEASE_S - lease.DEADLINE_S) / 2


def test_of_many_that_want_it_one_has_it(servers):
    names = {"a", "b", "c", "d"}
    for name in names:
        servers.start(name)
    assert servers.next()[0] in names
    with pytest.raises(queue.Empty):
        servers.happened.get(timeout=4)


def test_one_that_is_wanted_less_lets_the_other_go_first(servers):
    first = servers.start("a")
    assert servers.next() == ("a", "first")
    old, new = servers.start("old", deference_s=1), servers.start("new")
    time.sleep(1)  # both watch
    first.release()
    assert servers.next()[0] == "new"
    new.release()
    assert servers.next()[0] == "old", "it leads all the same when nobody else does"
    assert old._held is not None


def test_a_holder_that_is_cut_off_ends_itself_and_one_that_waits_goes_on(servers, wire):
    first = servers.start("a")
    assert servers.next() == ("a", "first")
    through(first, wire)
    time.sleep(1)
    assert servers.happened.empty(), "it renews by the wire"
    servers.start("b")
    wire.cut()
    assert servers.next() == ("a", "lost")
    assert servers.next() == ("b", "after a")


def test_one_that_waits_outlives_an_outage_of_the_api(servers, wire):
    first = servers.start("a")
    assert servers.next() == ("a", "first")
    second = servers.start("b")
    through(second, wire)
    time.sleep(1)
    wire.cut()
    time.sleep(4)
    assert servers.happened.empty(), "it does not take what it cannot see"
    wire.is_cut = False
    first.release()
    assert servers.next()[0] == "b"
