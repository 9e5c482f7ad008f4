from __future__ import annotations

import pytest

from spark_apps.serving.rollover import Wanted
from spark_apps.serving.wanted import DEFERENCE_S, deference


@pytest.mark.parametrize(
    ("wanted", "version", "waits"),
    [
        (None, 1, False),  # nobody has asked for anything yet
        (2, 2, False),
        (2, 1, True),
        (1, 2, True),  # after a rollback the older one is wanted
        (2, None, False),  # it takes the newest there is
    ],
)
def test_a_server_of_another_version_than_the_wanted_one_lets_others_go_first(wanted, version, waits):
    assert deference(Wanted(wanted), version) == (DEFERENCE_S if waits else 0)
