"""Which shadow is wanted, from the events alone."""

from __future__ import annotations

from datetime import timedelta

from control_plane import events
from control_plane.decisions import Rollouts, on_model_event
from control_plane.shadow import Shadow, wanted
from tests.unit.control_plane.stories import MODELS, NOON, told

ASKED = events.ShadowRequested(version=3, requested_at=NOON)
LATER = events.ShadowRequested(version=2, requested_at=NOON + timedelta(hours=1))
STOPPED = events.ShadowStopped(version=3, requested_at=NOON + timedelta(hours=2))


def test_there_is_none_until_one_is_asked_for():
    assert wanted(MODELS) is None


def test_the_last_one_asked_for_is_wanted_with_its_moment():
    assert wanted(told(ASKED)) == Shadow(3, NOON)
    assert wanted(told(ASKED, LATER)) == Shadow(2, LATER.requested_at)


def test_the_same_one_asked_for_again_begins_anew():
    again = events.ShadowRequested(version=3, requested_at=NOON + timedelta(hours=3))
    assert wanted(told(ASKED, STOPPED, again)) == Shadow(3, again.requested_at)


def test_none_is_wanted_once_it_is_stopped():
    assert wanted(told(ASKED, STOPPED)) is None


def test_a_shadow_is_nothing_to_rollouts():
    for record in told(ASKED, STOPPED):
        assert on_model_event(Rollouts(), record) == (Rollouts(), [])
