from __future__ import annotations

import os
import threading

from control_plane.doctor import command, servers
from control_plane.doctor.findings import healthy, ok, problem, report, warning
from control_plane.settings import Topics


def test_findings_come_in_the_order_of_their_checks_however_long_each_takes():
    first_may_end = threading.Event()

    def first():
        first_may_end.wait(10)
        return [ok("first", "")]

    def second():
        first_may_end.set()
        return [ok("second", "")]

    found = command.side_by_side({"first": first, "second": second}, 10)
    assert [finding.check for finding in found] == ["first", "second"]


def test_a_check_that_never_ends_is_left_behind_and_said():
    (found, other) = command.side_by_side(
        {"slow": threading.Event().wait, "quick": lambda: [ok("quick", "")]}, 0.05
    )
    assert (found.check, found.level, other.level) == ("slow", "problem", "ok")


def test_a_check_that_breaks_down_stops_no_other():
    broken, fine = command.side_by_side({"broken": lambda: 1 // 0, "fine": lambda: [ok("fine", "")]}, 10)
    assert (broken.level, fine.level) == ("problem", "ok")
    assert "ZeroDivisionError" in broken.found


def test_only_the_servers_that_are_named_are_asked(monkeypatch):
    for name in servers.NAMES:
        monkeypatch.delenv(name, raising=False)
    assert "system" in command.checks({})
    asked = command.checks({"HDFS_URL": "http://127.0.0.1:9870"})
    assert ("hdfs" in asked, "kafka" in asked, "system" in asked) == (True, False, False)


def test_a_system_that_runs_here_and_is_not_named_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path))
    (tmp_path / "pid").write_text(str(os.getpid()))
    [found] = command.checks({})["system"]()
    assert (found.level, f"process {os.getpid()}" in found.found) == ("warning", True)
    (tmp_path / "pid").unlink()
    [found] = command.checks({})["system"]()
    assert found.level == "ok"


def test_only_a_problem_is_in_the_way():
    assert healthy([ok("a", ""), warning("b", "", "")])
    assert not healthy([ok("a", ""), problem("b", "", "")])


def test_the_report_for_programs_says_it_all():
    assert report([problem("disk", "full", "delete something")]) == {
        "healthy": False,
        "findings": [
            {"check": "disk", "level": "problem", "found": "full", "remedy": "delete something"},
        ],
    }


def test_servers_at_which_nobody_listens_are_said_at_once():
    (kafka,) = servers.kafka("127.0.0.1:1", Topics())
    (mlflow,) = servers.mlflow("http://127.0.0.1:1")
    (hdfs,) = servers.hdfs("http://127.0.0.1:1")
    assert {kafka.level, mlflow.level, hdfs.level} == {"problem"}
    assert all("Connection refused" in found.found for found in (kafka, mlflow, hdfs))
