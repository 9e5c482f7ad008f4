"""A server hangs when its heartbeat is seen not to change, whatever the clocks say."""

from __future__ import annotations

import os

import pytest

from spark_apps.serving.pulse import Pulse
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(tmp_path, clock) -> Pulse:
    return Pulse(tmp_path / "heartbeat", clock)


def test_silence_is_counted_from_the_first_look_on(pulse, clock):
    assert pulse.silent_s() == 0
    clock.now += 7
    assert pulse.silent_s() == 7


def test_it_beats_from_the_first_touch_until_a_moment_after_the_last(pulse, clock):
    assert not pulse.beats
    pulse.file.touch()
    assert pulse.beats
    clock.now += 6
    assert not pulse.beats


def test_a_touch_ends_the_silence(pulse, clock):
    pulse.silent_s()
    clock.now += 7
    pulse.file.touch()
    assert pulse.silent_s() == 0
    clock.now += 2
    assert pulse.silent_s() == 2


def test_a_file_that_was_touched_long_ago_by_its_own_clock_is_fresh_when_it_changes(pulse, clock):
    pulse.file.touch()
    pulse.silent_s()
    clock.now += 7
    os.utime(pulse.file, (1, 1))  # the machine's clock was set back
    assert pulse.silent_s() == 0


def test_a_pause_of_the_one_who_looks_is_not_the_servers(pulse, clock):
    pulse.silent_s()
    pulse.file.touch()
    clock.now += 1_000
    assert pulse.silent_s() == 0


def test_silence_before_a_sign_was_expected_does_not_count(pulse, clock):
    pulse.silent_s()
    clock.now += 40
    pulse.expect()
    assert pulse.silent_s() == 0
    clock.now += 3
    assert pulse.silent_s() == 3
