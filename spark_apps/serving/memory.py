"""Memory that was needed for a while, given back to the system when nobody waits for an answer.

The C library keeps what the compilers needed, for large methods hundreds of megabytes; to give it back stops
whatever asks for memory for up to 0.2 s. In the heap, where little is asked for, what is of no use any more
lies about for long, in half an hour 130 MB of it, until it is collected, which takes as long. So both are
done while a server stands by, and when requests have paused.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from py4j.protocol import Py4JError
from pyspark import SparkContext

from spark_apps.jvm import jvm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_apps.serving.follower import Follower

log = structlog.get_logger()

_LOOK_S = 60


def watch(follower: Follower) -> None:
    """From now on give memory back, in a thread: when requests pause, and always while standing by."""
    threading.Thread(target=_watch, args=(follower,), name="memory", daemon=True).start()


def _watch(follower: Follower) -> None:
    pauses = Pauses()
    while True:
        time.sleep(_LOOK_S)
        if pauses.begins(follower.read) or not follower.leads:
            give_back()


def give_back() -> None:
    """Collect what is of no use, and give memory back where Java can (from 17.0.9 on, with glibc)."""
    java: Any = jvm().java.lang
    java.System.gc()
    gateway: Any = SparkContext._gateway
    told = gateway.new_array(java.Object, 4)  # a bean, its operation; no parameters and no signature
    told[0] = jvm().javax.management.ObjectName("com.sun.management:type=DiagnosticCommand")
    told[1] = "systemTrimNativeHeap"
    server = java.management.ManagementFactory.getPlatformMBeanServer()
    # By its interface: the server's own class is not for others to see, and py4j looks nowhere else.
    methods = java.Class.forName("javax.management.MBeanServer").getMethods()
    invoke = next(one for one in methods if one.getName() == "invoke")
    try:
        said = invoke.invoke(server, told)
    except Py4JError as error:
        log.debug("memory.kept", reason=repr(error)[:200])
    else:
        log.debug("memory.given_back", said=said.strip())


class Pauses:
    """Tells pauses by what was read so far: one begins with the first look that finds nothing new."""

    def __init__(self) -> None:
        self._read: dict[int, int] | None = None
        self._paused = False

    def begins(self, read: Mapping[int, int]) -> bool:
        """Look, and return whether a pause has begun since the last look. Pure but for what it remembers."""
        was_paused, self._paused = self._paused, read == self._read
        self._read = dict(read)
        return self._paused and not was_paused
