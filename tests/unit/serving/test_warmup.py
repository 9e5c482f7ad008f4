"""When a warm-up has brought what it can."""

from __future__ import annotations

import pytest

from spark_apps.serving.warmup import still_improving


@pytest.mark.parametrize("took", [[], [9.0], [9.0, 9.0]])
def test_a_few_bursts_say_nothing_yet(took):
    assert still_improving(took)


@pytest.mark.parametrize("took", [[7.0, 1.0, 1.0], [7.0, 1.0, 0.8, 0.85]])
def test_it_goes_on_while_one_of_the_last_two_was_clearly_faster(took):
    assert still_improving(took)


@pytest.mark.parametrize("took", [[1.0, 1.0, 1.0], [7.0, 1.0, 0.95, 0.92], [1.0, 2.0, 3.0]])
def test_two_bursts_that_are_no_faster_end_it(took):
    assert not still_improving(took)
