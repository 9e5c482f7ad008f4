"""Where a server's answers go, and who may write them: the two go together."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from control_plane.topics import MARKER_GROUP, PREDICTIONS, PREDICTIONS_SHADOW, SHADOW_MARKER_GROUP

if TYPE_CHECKING:
    from spark_apps.serving.settings import Pod, Serving


@dataclass(frozen=True)
class Output:
    """A topic of answers, which is its own ledger, with its marker and its one writer.

    ``leadership`` names the lock or the Lease of that writer, ``role`` is what it says of itself; ``says``
    are the roles that its servers tell of.
    """

    topic: str
    marker_group: str
    leadership: str
    role: str
    says: frozenset[str]


LIVE = Output(PREDICTIONS, MARKER_GROUP, "serving", "active", frozenset({"starting", "standby", "active"}))
SHADOW = Output(PREDICTIONS_SHADOW, SHADOW_MARKER_GROUP, "shadow", "shadow", frozenset({"shadow"}))


def server_name(settings: Serving, pod: Pod, output: Output) -> str:
    """Return the name that a server announces; a machine has one shadow, which is known again by it."""
    which = "shadow" if output == SHADOW else os.getpid()
    return settings.server or pod.pod_name or f"{socket.gethostname()}-{which}"
