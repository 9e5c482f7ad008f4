from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from control_plane import logs


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)


def said(*records):
    logs.adopt_standard_logging()
    with capture_logs() as captured:
        for level, message, *arguments in records:
            logging.getLogger("library").log(level, message, *arguments)
    return [(entry["log_level"], entry["event"], entry["message"]) for entry in captured]


def test_what_a_library_warns_of_comes_out_as_our_own_logs_do():
    assert said((logging.WARNING, "broker %s is away", 1), (logging.ERROR, "so is %s", 2)) == [
        ("warning", "library", "broker 1 is away"),
        ("error", "library", "so is 2"),
    ]


def test_what_a_library_merely_tells_does_not():
    assert said((logging.INFO, "hello")) == []


def test_the_same_is_said_once_a_minute():
    assert len(said(*[(logging.ERROR, "broker %s is away", number) for number in range(100)])) == 1
