from datetime import UTC, datetime, timedelta

import pytest

from spark_apps.monitoring.progress import EPOCH, Progress
from spark_apps.monitoring.ticks import Ticker, closing_time

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WATERMARK = NOON + timedelta(seconds=20)  # inside the window that ends at 12:01:00


class Ticks:
    def __init__(self) -> None:
        self.sent = 0
        self.ticker = Ticker(self._send, step=60, delay=5, patience=4)

    def _send(self) -> None:
        self.sent += 1

    def see(self, seconds: float, *, open_windows: int = 3, watermark: datetime = WATERMARK) -> int:
        """Show the ticker a batch at 12:00:00 + seconds; return how many ticks it has sent so far."""
        progress = Progress(batch=1, watermark=watermark, open_windows=open_windows)
        self.ticker.on_progress(progress, NOON + timedelta(seconds=seconds))
        return self.sent


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


def test_a_window_can_be_closed_a_delay_after_its_end() -> None:
    assert closing_time(WATERMARK, step=60, delay=5) == NOON + timedelta(seconds=65)


def test_a_watermark_at_the_end_of_a_window_has_closed_it() -> None:
    assert closing_time(NOON, step=60, delay=5) == NOON + timedelta(seconds=65)


def test_no_tick_is_sent_before_a_window_can_be_closed(ticks: Ticks) -> None:
    assert ticks.see(64.9) == 0
    assert ticks.see(65) == 1


def test_no_tick_is_sent_when_no_window_is_open(ticks: Ticks) -> None:
    assert ticks.see(3600, open_windows=0) == 0


def test_one_tick_is_enough_while_it_is_on_its_way(ticks: Ticks) -> None:
    assert ticks.see(65) == 1
    assert ticks.see(66) == 1
    assert ticks.see(68.9) == 1


def test_a_tick_that_changed_nothing_is_sent_again(ticks: Ticks) -> None:
    assert ticks.see(65) == 1
    assert ticks.see(69) == 2


def test_the_next_window_gets_a_tick_of_its_own(ticks: Ticks) -> None:
    assert ticks.see(65) == 1
    closed = NOON + timedelta(seconds=61)
    assert ticks.see(66, watermark=closed) == 1
    assert ticks.see(125, watermark=closed) == 2


def test_a_window_gets_its_tick_though_the_last_batch_knows_only_the_one_before(ticks: Ticks) -> None:
    assert ticks.see(124) == 1
    assert ticks.see(125) == 2


def test_windows_that_were_open_before_any_watermark_are_closed_at_once(ticks: Ticks) -> None:
    assert ticks.see(1, watermark=EPOCH) == 1


def test_a_start_sends_a_tick_that_nobody_asked_for(ticks: Ticks) -> None:
    ticks.ticker.wake(NOON)
    assert ticks.sent == 1
