"""The table by fault, and what is kept of a run that failed."""

from __future__ import annotations

import json

from tests.chaos import report
from tests.chaos.campaign import Run
from tests.chaos.plan import Injection, Plan
from tests.chaos.verdict import Listing, Part, Verdict
from tests.chaos.witness import Record


def run(seed: int, *faults: str, verdict: Verdict, parts: tuple[Part, ...] = ()) -> Run:
    plan = Plan(seed, 100, 15.0, tuple(Injection(2.0, fault, 0.5) for fault in faults))
    return Run(plan, verdict, parts, (), began=0.0, seconds=20.0 + seed, starved=0.5)


GOOD = run(1, "kill", verdict=Verdict(requests=1_000, worst_ms=300))
BAD = run(2, "kill", "cut", verdict=Verdict(requests=500, lost=2, doubled=1, worst_ms=9_000, problems=["!"]))


def test_a_run_is_in_the_row_of_each_of_its_faults_and_once_in_all():
    assert [dict(zip(report.COLUMNS, row, strict=True)) for row in report.table([GOOD, BAD])] == [
        row("cut", "1", "500", "2", "1", "9,000 ms", "22", "1"),
        row("kill", "2", "1,500", "2", "1", "9,000 ms", "22", "1"),
        row("all", "2", "1,500", "2", "1", "9,000 ms", "22", "1"),
    ]


def row(fault, runs, requests, lost, doubled, worst, seconds, failed):
    figures = (fault, runs, requests, lost, doubled, "0", "0", worst, seconds, failed)
    return dict(zip(report.COLUMNS, figures, strict=True))


def test_a_run_is_told_in_a_line_with_its_seed():
    assert report.line(BAD) == (
        "seed 2: 100/s for 15 s; kill at 2.0 s for 0.5 s, cut at 2.0 s for 0.5 s: "
        "500 requests, 2 lost, 1 doubled, worst 9,000 ms, 22 s, processors wanting for 50%"
    )


def test_of_a_failed_run_the_records_around_the_trouble_are_kept(tmp_path):
    listings = [Listing(offset, b"request") for offset in range(1_000)]
    predictions = [Record(0, n, n, json.dumps({"offset": n}).encode()) for n in range(1_000) if n != 500]
    lost = Verdict(lost=1, problems=["!"], places=[(0, 500)])
    log = tmp_path / "serving.log"
    log.write_text("what was logged")
    report.keep(
        run(3, "kill", verdict=lost, parts=(Part(0, 0, listings, predictions),)), tmp_path / "kept", [log]
    )
    kept = {file.name: file.read_text() for file in (tmp_path / "kept").iterdir()}
    assert kept["serving.log"] == "what was logged"
    assert [int(line.split()[0]) for line in kept["listings-0.txt"].splitlines()] == list(range(450, 551))
    assert len(kept["predictions-0.txt"].splitlines()) == 100
    assert json.loads(kept["run.json"])[0]["plan"]["seed"] == 3
