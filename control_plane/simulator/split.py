"""Splits the real file into training batches and a test part for requests, in one pass and bounded memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, repeat
from pathlib import Path

from control_plane.simulator.parts import PartFiles
from control_plane.simulator.records import count_fields, records

#: Its presence says that a batch is complete; it comes last.
SUCCESS = "_SUCCESS"
TEST_FOLDER = "test"
_RECORDS_AT_ONCE = 2_000
_ROWS_PER_PART = 100_000
_HASH_RANGE = 2**64
# Without these there is nothing to train on, or to ask for; see spark_apps/listings/schema.py.
_NEEDED = ("make_name", "model_name", "year", "price")


class SplitError(ValueError):
    """The file cannot be split as asked; the message says why and what to do."""


@dataclass(frozen=True)
class SplitReport:
    """How many records went where; ``batches`` maps the folder's name to its records."""

    records: int
    batches: dict[str, int]
    test: int
    irregular: int  # records that do not have the header's number of fields; they went along untouched
    bytes: int
    seconds: float


def split(
    csv: Path,
    out: Path,
    batches: int,
    test_share: float,
    seed: int,
    *,
    rows_per_part: int = _ROWS_PER_PART,
    on_rows: Callable[[int], None] | None = None,
) -> SplitReport:
    """Write ``out/batch-001/part-*.csv`` and so on, ``_SUCCESS`` last, and ``out/test/part-*.csv``.

    Records are written byte for byte as they were. A hash of the seed and the VIN decides where one goes, so
    that the same car never stands in two parts. What an earlier run left in these folders is replaced.
    """
    _check(csv, batches, test_share, rows_per_part)
    started, irregular = time.monotonic(), 0
    names = [TEST_FOLDER, *(f"batch-{number:03d}" for number in range(1, batches + 1))]
    with csv.open("rb") as file:
        stream = records(file)
        header = next(stream, b"")
        if not header:
            raise SplitError(f"{csv} is empty: give the dataset's CSV file with its header")
        if lacking := [name for name in _NEEDED if name not in header.decode("utf-8-sig", "replace")]:
            raise SplitError(f"{csv} is no CSV file of listings: its header lacks {', '.join(lacking)}")
        columns, ending = count_fields(header), b"" if header.endswith(b"\n") else b"\n"
        targets = [PartFiles(out / name, header + ending, repeat(rows_per_part)) for name in names]
        while block := list(islice(stream, _RECORDS_AT_ONCE)):
            parts: list[list[bytes]] = [[] for _ in targets]
            for record in block:
                parts[_target(vin(record), batches, test_share, seed)].append(_ended(record))
                irregular += count_fields(record) != columns
            for target, chosen in zip(targets, parts, strict=True):
                target.write(chosen)
            if on_rows is not None:
                on_rows(len(block))
    for target in targets:
        target.close()
    for name in names[1:]:
        (out / name / SUCCESS).touch()
    counts = {name: target.rows for name, target in zip(names, targets, strict=True)}
    test = counts.pop(TEST_FOLDER)
    return SplitReport(
        records=test + sum(counts.values()),
        batches=counts,
        test=test,
        irregular=irregular,
        bytes=sum(target.bytes for target in targets),
        seconds=time.monotonic() - started,
    )


def vin(record: bytes) -> bytes:
    """The record's first field."""
    return record.split(b",", 1)[0].strip(b' "\r\n')


def _check(csv: Path, batches: int, test_share: float, rows_per_part: int) -> None:
    if not csv.is_file():
        raise SplitError(f"{csv} is not a file: give the dataset's CSV file")
    if batches < 1:
        raise SplitError(f"batches is {batches}: give a number from 1 up")
    if rows_per_part < 1:
        raise SplitError(f"rows per part is {rows_per_part}: give a number from 1 up")
    if not 0 <= test_share < 1:
        raise SplitError(f"test share is {test_share}: give a number from 0 to below 1")


def _target(vin: bytes, batches: int, test_share: float, seed: int) -> int:
    """0 for the test part, otherwise the number of the batch."""
    digest = blake2b(vin, digest_size=8, key=str(seed).encode()).digest()
    u = int.from_bytes(digest, "big") / _HASH_RANGE
    if u < test_share:
        return 0
    return 1 + min(int((u - test_share) / (1 - test_share) * batches), batches - 1)


def _ended(record: bytes) -> bytes:
    """The file's last record may lack a line end, which the record behind it in a part would need."""
    return record if record.endswith(b"\n") else record + b"\n"
