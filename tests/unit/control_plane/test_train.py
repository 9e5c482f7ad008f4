from __future__ import annotations

from datetime import timedelta

import pytest

from control_plane import events
from control_plane.train import TrainingRequestError, check
from tests.unit.control_plane.stories import BATCHES, NOON, told

FAILED = (
    *(record.event for record in BATCHES[:5]),
    events.TrainingFailed(batch="b1", attempt=2, reason="no rows", final=True),
    events.TrainingStarted(batch="b2", attempt=1),
)
ASKED = events.TrainingRequested(batch="b1", requested_at=NOON + timedelta(hours=1))


def test_a_batch_that_failed_or_was_trained_on_may_be_asked_for():
    check(told(*FAILED), "b1")
    check(BATCHES, "b1")


@pytest.mark.parametrize(
    ("story", "batch", "sentence"),
    [
        ((), "b1", "batch b1 never arrived; the last that did: none yet"),
        (FAILED, "b9", "batch b9 never arrived; the last that did: b1, b2"),
        (FAILED, "b2", "batch b2 is being trained on .attempt 1.; ask again when that has ended"),
        ((*FAILED, ASKED), "b1", "batch b1 waits for its training already"),
    ],
)
def test_any_other_is_refused_with_the_reason(story, batch, sentence):
    with pytest.raises(TrainingRequestError, match=f"^{sentence}$"):
        check(told(*story), batch)
