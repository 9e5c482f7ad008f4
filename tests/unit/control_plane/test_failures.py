from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.failures import LONGEST_MESSAGE, Failure, Finding, RefusedProfile
from tests.unit.control_plane.test_events import PROFILES

FINDING = Finding(what="share of mileage missing", was=0.02, now=0.98, bound=0.17)
PROFILE = RefusedProfile(run_id="run", rows=4_000, findings=(FINDING,), missing={"mileage": 0.98})


@given(st.text(max_size=90).map(str.strip), st.booleans(), st.none() | st.just(PROFILE))
def test_what_a_job_leaves_is_read_again(reason, final, profile):
    failure = Failure(reason=reason, final=final, profile=profile)
    assert Failure.read(failure.message()) == failure


@given(st.text(), PROFILES)
def test_a_message_is_never_longer_than_kubernetes_keeps(reason, profile):
    message = Failure(reason=reason * 1_000, final=True, profile=profile).message()
    assert len(message.encode()) < LONGEST_MESSAGE
    assert Failure.read(message).final


def test_a_long_reason_gives_way_to_the_profile():
    many = PROFILE.model_copy(update={"findings": (FINDING,) * 15})
    read = Failure.read(Failure(reason="\N{GREEK SMALL LETTER OMEGA}" * 600, profile=many).message())
    assert read.profile == many
    assert 0 < len(read.reason) < 500


def test_a_profile_that_leaves_no_room_is_left_out():
    endless = PROFILE.model_copy(update={"findings": (FINDING,) * 100})
    read = Failure.read(Failure(reason="beyond the bounds", final=True, profile=endless).message())
    assert read == Failure(reason="beyond the bounds", final=True)


@pytest.mark.parametrize(
    "text",
    [
        "every row is without a price",
        "Error, exit code 137",
        "",
        "{",
        "null",
        "[1]",
        json.dumps({"final": True}),
        json.dumps({"event": "training.failed", "reason": "no rows", "level": "error"}),  # a line of the log
    ],
)
def test_any_other_text_is_a_reason_that_may_change(text):
    assert Failure.read(text) == Failure(reason=text)
