"""Whether somebody listens at an address, and in plain words why not."""

from __future__ import annotations

import socket

_TIMEOUT_S = 3.0


def complaint(addresses: str, default_port: int = 9092, timeout_s: float = _TIMEOUT_S) -> str | None:
    """Return why nobody answers at ``addresses`` ("host:port,host:port"), or None where somebody does.

    Kafka's client tries a port at which nobody listens again and again, for as long as it may wait.
    """
    reason = "no address is given"
    for address in filter(None, (part.strip() for part in addresses.split(","))):
        host, port = split(address, default_port)
        if not 0 < port < 2**16:
            reason = f"{address} is no host:port"
            continue
        try:
            socket.create_connection((host, port), timeout_s).close()
        except (OSError, UnicodeError) as error:
            reason = plainly(error)
        else:
            return None
    return reason


def split(address: str, default_port: int) -> tuple[str, int]:
    """Return host and port of "host:port", "[::1]:port", "SSL://host:port" or a host alone.

    A port that is none is 0.
    """
    place = address.rpartition("://")[2]
    host, _, port = place.rpartition(":")
    if not host or place.endswith("]"):
        return place.strip("[]"), default_port
    return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0


def plainly(error: BaseException) -> str:
    """Return what was behind an error of a connection: clients wrap it several times."""
    root = error
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    if isinstance(root, TimeoutError) or "timed out" in str(root):
        return "no answer in time"
    said = root.strerror if isinstance(root, OSError) and root.strerror else str(root)
    return said or type(root).__name__
