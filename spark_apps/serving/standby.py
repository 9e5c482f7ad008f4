"""What a server does while another one leads: its query waits at the gate, close behind the leader."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from control_plane.topics import LISTINGS
from spark_apps.serving.output import LIVE
from spark_apps.serving.query import await_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql.streaming.query import StreamingQuery

    from spark_apps.serving.follower import Follower
    from spark_apps.serving.ledger import Resume
    from spark_apps.serving.output import Output
    from spark_apps.serving.query import AnswerQuery, Armed

log = structlog.get_logger()

_LOOK_S = 10.0
_FAR_BEHIND = 20_000  # records that a new leader would have to pass over: some tenths of a second
_OLD_S = 3600.0  # Spark ends a batch by the clock, and the gate's waiting time counts
_START_TIMEOUT_S = 60.0


class StandbyError(RuntimeError):
    """The query does not start, or would begin too late; the message says why."""


class Standby:
    """Keeps a query armed until :meth:`lead`; a thread arms it anew when the leader is far ahead."""

    def __init__(
        self,
        query: AnswerQuery,
        follower: Follower,
        failed: Callable[[Exception], None],
        output: Output = LIVE,
    ) -> None:
        self._output = output
        self._query = query
        self._follower = follower
        self._failed = failed
        self._led = threading.Event()
        self._arming = threading.Lock()
        self._armed = self._arm()
        threading.Thread(target=self._keep_close, name="standby", daemon=True).start()

    def lead(self, resume: Mapping[int, Resume], epoch: int) -> StreamingQuery:
        """Answer from ``resume`` on, as ``epoch``."""
        self._led.set()
        with self._arming:
            if not self._armed.query.isActive:
                self._armed = self._arm_again()
            begins_at = self._armed.begins_at
            if any(where.offset < begins_at[partition] for partition, where in resume.items()):
                raise StandbyError(f"the query begins at {begins_at}, beyond the first unanswered: {resume}")
            return self._armed.lead(resume, epoch)

    def _arm(self) -> Armed:
        self._since = time.monotonic()
        armed = self._query.arm(LISTINGS, self._output.topic, self._follower.passed)
        if not await_tasks(self._query.spark, armed.query, len(armed.begins_at), _START_TIMEOUT_S):
            raise StandbyError(f"the query did not start: {armed.query.exception()}")
        return armed

    def _arm_again(self) -> Armed:
        self._armed.disarm()
        armed = self._arm()
        log.info("standby.armed_again", begins_at=armed.begins_at)
        return armed

    def _keep_close(self) -> None:
        try:
            while not self._led.wait(_LOOK_S):
                with self._arming:
                    if not self._led.is_set() and self._is_stale():
                        self._armed = self._arm_again()
        except Exception as error:  # the thread's border: the server ends with it
            self._failed(error)

    def _is_stale(self) -> bool:
        read = self._follower.read
        far = any(read[p] - offset > _FAR_BEHIND for p, offset in self._armed.begins_at.items())
        old = time.monotonic() - self._since > _OLD_S
        return far or old or not self._armed.query.isActive
