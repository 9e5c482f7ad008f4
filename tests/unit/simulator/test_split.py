import csv
from collections import Counter
from pathlib import Path

import pytest

from control_plane.simulator.generator import generate
from control_plane.simulator.records import records
from control_plane.simulator.split import SplitError, split, vin

ROWS = 3_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(ROWS, 11, tmp_path_factory.mktemp("source")).parts[0]


def folders(out: Path) -> dict[str, list[bytes]]:
    """The records of each folder without headers."""
    found: dict[str, list[bytes]] = {}
    for part in sorted(out.glob("*/part-*.csv")):
        with part.open("rb") as file:
            found.setdefault(part.parent.name, []).extend(list(records(file))[1:])
    return found


def test_every_record_lands_exactly_once_byte_for_byte(source: Path, tmp_path: Path):
    report = split(source, tmp_path, batches=3, test_share=0.1, seed=1)
    with source.open("rb") as file:
        wanted = Counter(list(records(file))[1:])
    found = folders(tmp_path)
    assert Counter(record for chosen in found.values() for record in chosen) == wanted
    assert report.records == ROWS
    assert {**report.batches, "test": report.test} == {name: len(chosen) for name, chosen in found.items()}
    assert report.irregular == 0


def test_each_batch_has_parts_with_header_and_a_success_mark_and_the_test_part_has_none(source, tmp_path):
    split(source, tmp_path, batches=2, test_share=0.2, seed=1, rows_per_part=500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch-001", "batch-002", "test"]
    assert [(tmp_path / name / "_SUCCESS").exists() for name in ("batch-001", "batch-002", "test")] == [
        1,
        1,
        0,
    ]
    parts = sorted((tmp_path / "batch-001").glob("*.csv"))
    assert [path.name for path in parts] == ["part-00000.csv", "part-00001.csv", "part-00002.csv"]
    header = source.read_bytes().partition(b"\n")[0]
    for part in parts:
        assert part.read_bytes().partition(b"\n")[0] == header
        with part.open(newline="") as file:
            assert 1 < sum(1 for _ in csv.reader(file)) <= 501


def test_shares_are_as_asked(source: Path, tmp_path: Path):
    report = split(source, tmp_path, batches=4, test_share=0.25, seed=1)
    assert report.test == pytest.approx(0.25 * ROWS, rel=0.1)
    assert all(rows == pytest.approx(0.75 * ROWS / 4, rel=0.15) for rows in report.batches.values())


def test_a_car_listed_twice_never_stands_in_two_parts(source: Path, tmp_path: Path):
    doubled = tmp_path / "doubled.csv"
    with source.open("rb") as file:
        header, *rows = records(file)
    again = [row.replace(b",Black,", b",White,") for row in reversed(rows)]
    doubled.write_bytes(header + b"".join(rows) + b"".join(again))
    split(doubled, tmp_path / "out", batches=3, test_share=0.2, seed=5)
    vins = {name: {vin(row) for row in chosen} for name, chosen in folders(tmp_path / "out").items()}
    assert sum(len(chosen) for chosen in vins.values()) == len(set.union(*vins.values())) == ROWS


def test_the_same_seed_splits_alike_and_another_does_not(source: Path, tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        split(source, tmp_path / name, batches=2, test_share=0.1, seed=seed)
    first, same, other = (folders(tmp_path / name) for name in "abc")
    assert first == same
    assert first["test"] != other["test"]


def test_a_broken_record_goes_along_untouched_and_is_counted(source: Path, tmp_path: Path):
    broken = tmp_path / "broken.csv"
    odd = b'1HGCM82633A999999,"never closed,1,2\n'
    with source.open("rb") as file:
        header, *rows = records(file)
    broken.write_bytes(header + b"".join(rows[:50]) + odd + b"".join(rows[50:100]))
    report = split(broken, tmp_path / "out", batches=1, test_share=0.0, seed=1)
    assert folders(tmp_path / "out")["batch-001"] == [*rows[:50], odd, *rows[50:100]]
    assert (report.irregular, report.test) == (1, 0)


def test_a_last_line_without_end_gets_one_so_that_parts_can_be_joined(tmp_path: Path):
    (tmp_path / "f.csv").write_bytes(
        b"vin,make_name,model_name,year,price\n1HGCM82633A000001,,,,x\n1HGCM82633A000002,,,,y"
    )
    split(tmp_path / "f.csv", tmp_path / "out", batches=1, test_share=0, seed=0)
    assert (tmp_path / "out/batch-001/part-00000.csv").read_bytes().endswith(b",y\n")


def test_a_file_of_something_else_is_refused_before_anything_is_written(tmp_path: Path):
    (tmp_path / "f.csv").write_text("vin,price\n1,2\n")
    with pytest.raises(SplitError, match="its header lacks make_name, model_name, year"):
        split(tmp_path / "f.csv", tmp_path / "out", batches=1, test_share=0, seed=0)
    assert not (tmp_path / "out").exists()


def test_what_an_earlier_run_left_is_replaced(source: Path, tmp_path: Path):
    split(source, tmp_path, batches=1, test_share=0.1, seed=1, rows_per_part=100)
    split(source, tmp_path, batches=1, test_share=0.1, seed=1)
    assert len(list((tmp_path / "batch-001").glob("part-*.csv"))) == 1


def test_progress_adds_up_to_the_records(source: Path, tmp_path: Path):
    steps: list[int] = []
    split(source, tmp_path, batches=1, test_share=0.1, seed=1, on_rows=steps.append)
    assert steps == [2_000, 1_000]


@pytest.mark.parametrize(
    ("batches", "share", "message"),
    [(0, 0.1, "batches is 0"), (1, 1.0, "test share is 1"), (1, -0.1, "test share")],
)
def test_an_impossible_split_is_refused_with_the_value(source: Path, tmp_path: Path, batches, share, message):
    with pytest.raises(SplitError, match=message):
        split(source, tmp_path, batches=batches, test_share=share, seed=1)


def test_a_missing_or_empty_file_is_named(tmp_path: Path):
    with pytest.raises(SplitError, match=r"nowhere\.csv is not a file"):
        split(tmp_path / "nowhere.csv", tmp_path, batches=1, test_share=0.1, seed=1)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(SplitError, match=r"empty\.csv is empty"):
        split(tmp_path / "empty.csv", tmp_path, batches=1, test_share=0.1, seed=1)
