"""``python -m spark_apps.serving.shadow``: waits until a shadow is wanted, and is it until another one is.

It is a server like any other, with an output of its own (:data:`spark_apps.serving.output.SHADOW`): it leads
beside the active one, from which it takes nothing but time of the processors. When what is wanted changes it
ends, and whoever started it starts it again.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import structlog

from control_plane import audit, logs
from control_plane.settings import Servers, Topics, load
from control_plane.shadow import Shadow, after, wanted
from control_plane.topics import CONTROL_MODELS, ensure_topics
from spark_apps.serving.announcements import Announcements
from spark_apps.serving.lifeline import FAILED, Lifeline
from spark_apps.serving.output import SHADOW, server_name
from spark_apps.serving.processes import die_with_parent
from spark_apps.serving.settings import Pod, Serving

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

log = structlog.get_logger()


def told(bootstrap_servers: str, heartbeat: Path | None) -> Generator[Shadow | None]:
    """Yield the shadow that is wanted now, and what is wanted instead whenever that changes."""
    past = audit.read(bootstrap_servers, CONTROL_MODELS)
    shadow = wanted(past)
    yield shadow
    everything = audit.follow(bootstrap_servers, [CONTROL_MODELS], partial(_beat, heartbeat))
    for number, recorded in enumerate(everything):
        changed = after(shadow, recorded.event)
        if number >= len(past) and changed != shadow:
            yield (shadow := changed)


def _beat(heartbeat: Path | None) -> bool:
    """Give a sign of life; the answer to whether to stop is no."""
    if heartbeat:
        heartbeat.touch()
    return False


def _leave_when_told(changes: Generator[Shadow | None], lifeline: Lifeline) -> None:
    try:
        lifeline.leave(0, "shadow.changed", wanted=next(changes))
    except Exception as error:  # the thread's border: the server ends with it
        lifeline.failed(error)


def main() -> int:
    """Be the shadow that is wanted."""
    logs.configure()
    if parent := os.environ.get("SERVING_PARENT"):
        die_with_parent(int(parent))
    lifeline = Lifeline()
    try:
        kafka, settings = load(Servers).kafka_bootstrap_servers, load(Serving)
        ensure_topics(kafka, load(Topics))
        shadow = next(waiting := told(kafka, settings.heartbeat))
        if shadow is None:
            name = server_name(settings, load(Pod), SHADOW)
            Announcements(kafka, name).gone()  # of one that was killed, and could not say so
        while shadow is None:
            shadow = next(waiting)
        waiting.close()
        # The server gives its own signs of life from here on.
        changes = told(kafka, None)
        if next(changes) != shadow:
            lifeline.leave(0, "shadow.changed")
        threading.Thread(target=_leave_when_told, args=(changes, lifeline), daemon=True).start()
        _serve(lifeline, shadow)
    except Exception as error:
        lifeline.failed(error)
    return FAILED


def _serve(lifeline: Lifeline, shadow: Shadow) -> None:
    # Imported late: until there is a shadow, this process is to cost next to nothing.
    from spark_apps.serving.app import serve  # noqa: PLC0415

    log.info("shadow.wanted", model_version=shadow.version, since=shadow.since.isoformat())
    serve(lifeline, SHADOW, version=shadow.version, since=shadow.since)


if __name__ == "__main__":
    sys.exit(main())
