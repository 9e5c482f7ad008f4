"""What the sandbox needs of the machine: memory, disk and ports."""

from __future__ import annotations

import json
import random
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from control_plane.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Host:
    """The name by which others reach a server, and the address that it listens at."""

    name: str = HOST
    listens: str = HOST


GIB = 1024**3
MIN_FREE_DISK = 2 * GIB
MIN_FREE_MEMORY = int(1.5 * GIB)

_LOWEST_PORT = 20000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CGROUP = Path("/sys/fs/cgroup")


def check_memory(needed: int = MIN_FREE_MEMORY, available: int | None = None) -> None:
    """Raise :class:`SandboxError` unless ``needed`` bytes of memory are available."""
    free = available_memory() if available is None else available
    if free < needed:
        raise SandboxError(
            f"{free / GIB:.1f} GiB of memory are available and the servers need {needed / GIB:.1f} GiB: "
            "end other programs or use a larger machine."
        )


def available_memory() -> int:
    """Return the bytes that new processes may take: the machine's, or less where a cgroup limits them."""
    machine = int(psutil.virtual_memory().available)
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except OSError:
        return machine
    return machine if limit == "max" else min(machine, int(limit) - used)


def check_disk(folder: Path, needed: int = MIN_FREE_DISK) -> None:
    """Raise :class:`SandboxError` unless ``needed`` bytes are free where ``folder`` is."""
    free = psutil.disk_usage(str(folder)).free
    if free < needed:
        raise SandboxError(
            f"{free / GIB:.1f} GiB are free on the disk of {folder} and {needed / GIB:.1f} GiB are needed: "
            "delete something or set PIPELINES_HOME to a folder on another disk."
        )


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        # As servers do: connections that linger from a server just stopped are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose_ports(
    names: Iterable[str],
    remembered: Path,
    demanded: Mapping[str, int],
    variables: str = "SANDBOX_{}_PORT",
) -> dict[str, int]:
    """Return a port for each name: the demanded one, else the one of the last time, else any free one.

    They are remembered in the file ``remembered``, so that addresses survive a restart where possible;
    ``variables`` is how the environment names a port that is demanded. Raises :class:`SandboxError` when a
    demanded port is taken.
    """
    try:
        before: dict[str, int] = json.loads(remembered.read_text())
    except (OSError, ValueError):
        before = {}
    ports: dict[str, int] = {}
    for name in names:
        variable = variables.format(name.upper())
        taken = set(ports.values())
        ports[name] = _choose(name, demanded.get(name), before.get(name), taken, variable)
    remembered.write_text(json.dumps(ports))
    return ports


def await_release(remembered: Path, timeout_s: float) -> None:
    """Wait until nobody listens on the remembered ports, ``timeout_s`` at most.

    After a crash the kernel needs a moment to end the servers of the last time.
    """
    deadline = time.monotonic() + timeout_s
    try:
        ports = json.loads(remembered.read_text()).values()
    except (OSError, ValueError):
        return
    while not all(is_free(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(0.05)


def _choose(name: str, demanded: int | None, before: int | None, taken: set[int], variable: str) -> int:
    if demanded is not None:
        if not is_free(demanded):
            raise SandboxError(
                f"Port {demanded} for {name} is taken by another program: end it, "
                f"or set {variable} to a free port, or unset it to have one chosen."
            )
        return demanded
    if before is not None and before not in taken and is_free(before):
        return before
    return _free_port(taken)


def _free_port(taken: set[int]) -> int:
    """Return a free port below those that the kernel gives to clients.

    A client that tries again and again to reach a stopped server on one of *those* ports may be given the
    very port as its own and connect to itself, and the server cannot come back.
    """
    for port in random.sample(range(_LOWEST_PORT, _ephemeral_start()), 200):
        if port not in taken and is_free(port):
            return port
    raise SandboxError(f"No free port from {_LOWEST_PORT} on was found in 200 tries: end other programs.")


def _ephemeral_start() -> int:
    try:
        return max(int(_EPHEMERAL_RANGE.read_text().split()[0]), _LOWEST_PORT + 1000)
    except (OSError, ValueError):
        return 32768
