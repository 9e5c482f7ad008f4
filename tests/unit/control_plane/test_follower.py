from __future__ import annotations

import asyncio

from control_plane.app import _Follower
from control_plane.decisions import Launch
from control_plane.events import TrainingFailed, TrainingStarted

STARTED = TrainingStarted(batch="b", attempt=1)
ENDED = TrainingFailed(batch="b", attempt=1, reason="no rows", final=True)


class Following(_Follower):
    """Follows a job that ends at once; ``crashes`` times looking for its end goes wrong first."""

    def __init__(self, crashes: int = 0) -> None:
        super().__init__(None, None)
        self.crashes = crashes
        self.told = []

    async def _outcome(self, _action):
        if self.crashes:
            self.crashes -= 1
            raise ValueError("a fault of ours")
        return ENDED

    async def _publish(self, event):
        self.told.append(event)

    async def begun(self, times: int):
        for _ in range(times):
            self.begin(Launch(STARTED))
            await asyncio.wait(self._followed.values())
            await asyncio.sleep(0)  # the callbacks of what has ended
        return self.told


def test_an_end_is_told_once_though_its_start_is_read_again_after_it():
    assert asyncio.run(Following().begun(times=2)) == [ENDED]


def test_what_could_not_be_followed_is_followed_when_it_is_read_again():
    assert asyncio.run(Following(crashes=1).begun(times=2)) == [ENDED]
