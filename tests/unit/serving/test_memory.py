"""When memory is given back: at the beginning of each pause, once."""

from __future__ import annotations

from spark_apps.serving.memory import Pauses


def test_a_pause_begins_once_when_nothing_new_was_read() -> None:
    pauses = Pauses()
    looks = [{0: 5, 1: 7}, {0: 6, 1: 7}, {0: 6, 1: 9}, {0: 6, 1: 9}, {0: 6, 1: 9}]
    assert [pauses.begins(read) for read in looks] == [False, False, False, True, False]


def test_each_pause_counts() -> None:
    pauses = Pauses()
    looks = [{0: 1}, {0: 1}, {0: 2}, {0: 2}, {0: 2}]
    assert [pauses.begins(read) for read in looks] == [False, True, False, True, False]


def test_what_is_read_in_place_is_seen_to_change() -> None:
    read, pauses = {0: 1}, Pauses()
    pauses.begins(read)
    read[0] = 2
    assert not pauses.begins(read)
    assert pauses.begins(read)
