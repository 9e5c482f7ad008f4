"""Garbage is garbage: no record of it may turn out to be a price, which gets no answer."""

from __future__ import annotations

import random

from control_plane.prices import is_price
from tests.chaos.sender import junk


def test_no_garbage_is_a_well_formed_price():
    drawn = random.Random(1)
    records = [junk(drawn) for _ in range(500)]
    assert not any(is_price(value) for _, value in records)
    assert {value is None for _, value in records} == {True, False}
