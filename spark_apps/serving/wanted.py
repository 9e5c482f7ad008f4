"""Which version of the model is wanted, followed in ``control.models``."""

from __future__ import annotations

import threading
import time

import structlog
from confluent_kafka import KafkaException

from control_plane import audit, topics
from spark_apps.serving.rollover import Wanted

log = structlog.get_logger()

DEFERENCE_S = 0.5
_AGAIN_S = 1.0


def deference(wanted: Wanted, version: int | None) -> float:
    """Return the seconds in which a server of the wanted version may lead before one of ``version``. Pure.

    Not for ever: the old version answers on when no server of the wanted one is ready.
    """
    return 0.0 if None in {wanted.version, version} or wanted.version == version else DEFERENCE_S


class Following:
    """Knows what is wanted, some milliseconds late."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.wanted = Wanted()
        self._bootstrap_servers = bootstrap_servers
        threading.Thread(target=self._follow, name="wanted", daemon=True).start()

    def _follow(self) -> None:
        while True:
            try:
                wanted = Wanted()
                for recorded in audit.follow(self._bootstrap_servers, [topics.CONTROL_MODELS], lambda: False):
                    self.wanted = wanted = wanted.after(recorded.event)
            except KafkaException as error:  # without it there is no preference, and no harm
                log.warning("wanted.unknown", reason=str(error))
                time.sleep(_AGAIN_S)
