"""The servers that the environment names, as every command speaks to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from control_plane.settings import Servers


def servers() -> Servers:
    """Return where the servers are. Raises SettingsError for what is no address."""
    from control_plane.settings import Servers, load

    return load(Servers)


def brokers() -> str:
    """Return the brokers' addresses if somebody listens there; Kafka's client would try for half a minute."""
    from control_plane.audit import LogUnavailableError
    from control_plane.reachable import complaint

    addresses = servers().kafka_bootstrap_servers
    if why := complaint(addresses):
        raise LogUnavailableError(f"Kafka at {addresses} does not answer: {why}")
    return addresses
