"""The proxy passes bytes on, and holds back or cuts when it is told to."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from control_plane.sandbox.machine import HOST
from tests.chaos.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 10


@pytest.fixture
def proxy() -> Iterator[tuple[Proxy, int]]:
    """A proxy in front of a server that sends everything back."""
    with closing(socket.create_server((HOST, 0))) as server, closing(socket.create_server((HOST, 0))) as free:
        port = free.getsockname()[1]
        free.close()
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        proxy = Proxy(port, server.getsockname()[1])
        with proxy.running():
            yield proxy, port


def _echo(server: socket.socket) -> None:
    def answer(connection: socket.socket) -> None:
        with closing(connection):
            while data := connection.recv(100):
                connection.sendall(data)

    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def connected(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), PATIENCE_S)


def test_bytes_go_through_both_ways(proxy):
    _, port = proxy
    with closing(connected(port)) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"


def test_what_is_stalled_comes_afterwards(proxy):
    it, port = proxy
    with closing(connected(port)) as client:
        with it.stalled():
            client.sendall(b"late")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(100)
        client.settimeout(PATIENCE_S)
        assert client.recv(100) == b"late"


def test_a_cut_ends_connections_and_lets_none_come_about(proxy):
    it, port = proxy
    with closing(connected(port)) as client:
        client.sendall(b"x")
        assert client.recv(100) == b"x"
        with it.cut():
            assert is_ended(client)
            with closing(connected(port)) as refused:
                assert is_ended(refused)
    with closing(connected(port)) as client:
        client.sendall(b"again")
        assert client.recv(100) == b"again"


def is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True
