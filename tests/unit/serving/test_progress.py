from __future__ import annotations

from spark_apps.serving.progress import STUCK_S, Progress
from tests.clock import Clock


def after(progress: Progress, clock: Clock, seconds: float, *, arrivals: int, answers: int) -> bool:
    """Let time pass in steps of a second with so many requests and answers in each; say how it ends."""
    made = True
    for _ in range(int(seconds)):
        clock.now += 1
        listed, answered = progress.listed + arrivals, progress.answered + answers
        made = progress.is_made(listed, answered, waiting=listed > answered)
    return made


def started() -> tuple[Progress, Clock]:
    clock = Clock()
    progress = Progress(clock)
    assert progress.is_made(0, 0, waiting=False)
    return progress, clock


def test_a_server_that_answers_is_well_however_long_its_backlog():
    progress, clock = started()
    assert after(progress, clock, 10 * STUCK_S, arrivals=50, answers=1)


def test_a_server_without_requests_is_well():
    progress, clock = started()
    assert after(progress, clock, 10 * STUCK_S, arrivals=0, answers=0)


def test_a_server_that_answers_nothing_although_requests_come_is_stuck():
    progress, clock = started()
    assert after(progress, clock, STUCK_S - 1, arrivals=5, answers=0)
    assert not after(progress, clock, 5, arrivals=5, answers=0)


def test_a_server_that_hears_nothing_new_is_not_to_blame():
    progress, clock = started()
    progress.is_made(5, 0, waiting=True)
    assert after(progress, clock, 10 * STUCK_S, arrivals=0, answers=0)
