import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.simulator import records as module
from control_plane.simulator.records import count_fields, records

HEADER = b"vin,description,power,year\n"
FIELD = st.text(alphabet='ab ,"\n\\;', max_size=8)


def car(number: int, description: bytes = b'"red, ""as new""\nand clean"') -> bytes:
    return b'1HGCM82633A%06d,%s,"177 hp @ 5,750 RPM",2019\n' % (number, description)


def cut(data: bytes) -> list[bytes]:
    return list(records(io.BytesIO(data)))


@given(
    st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=12),
    st.sampled_from([5, 40, 4096]),
    st.booleans(),
)
def test_whatever_python_writes_is_cut_into_the_rows_it_wrote(rows, block, ended):
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["vin", "a", "b", "c"])
    writer.writerows([f"1HGCM82633A{i:06d}", *row] for i, row in enumerate(rows))
    data = written.getvalue().encode()
    data = data if ended else data.removesuffix(b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        found = cut(data)
    assert b"".join(found) == data
    assert [next(csv.reader(io.StringIO(record.decode(), newline="")))[1:] for record in found[1:]] == rows


@pytest.mark.parametrize(
    "description",
    [
        rb'"he said \"hi\", then left"',
        rb'"size 6\", black"',
        b'"size 6\\" and\nsize 7\\", black"',
        rb'"ends with a backslash\"',
        rb'"6\"" wheels"',
        b'5" screen',
        b'"quote closed" too soon',
        b'"never closed',
        b'"never closed\nover two lines',
        b"one,field,too,many",
        b'""',
        b"",
    ],
)
def test_an_odd_record_stays_whole_and_does_not_touch_its_neighbours(description: bytes):
    rows = [car(0), car(1, description), car(2), car(3)]
    assert cut(HEADER + b"".join(rows))[1:] == rows


def test_line_ends_of_windows_and_blank_lines_are_no_trouble():
    rows = [b'A1234567890,"x,\r\ny",1,2\r\n', b"B1234567890,,,\r\n"]
    assert cut(b"vin,a,b,c\r\n" + rows[0] + b"\r\n" + rows[1])[1:] == rows


def test_a_quote_never_closed_swallows_no_more_than_the_longest_record(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(module, "MOST_RECORD_BYTES", 1_000)
    read = 0

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal read
            block = super().read(size)
            read += len(block)
            return block

    stream = records(Counting(HEADER + car(0, b'"never closed') + b"".join(map(car, range(1, 200)))))
    next(stream)
    assert next(stream) == car(0, b'"never closed')
    assert read < 2_000


def test_memory_holds_a_window_and_not_the_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1_000)
    monkeypatch.setattr(module, "MOST_RECORD_BYTES", 1_000)

    class Endless(io.RawIOBase):
        sent = 0

        def read(self, size: int = -1) -> bytes:
            self.sent += 1
            return car(self.sent) * (size // len(car(0)))

    source = Endless()
    stream = records(source)
    for _ in range(5_000):
        next(stream)
    assert source.sent < 5_000


def test_fields_are_counted_outside_quotes():
    assert count_fields(car(1)) == 4
    assert count_fields(b"a\n") == 1


def test_the_real_lines_are_the_records_they_are(shared_data):
    for name, rows in (("real_lines.csv", 2), ("real_listings.csv", 12), ("real_listings_2.csv", 70)):
        with (shared_data / name).open("rb") as file:
            found = list(records(file))
        assert len(found) == rows + 1
        assert {count_fields(record) for record in found} == {66}
        assert b"".join(found) == (shared_data / name).read_bytes().rstrip(b"\n") + b"\n"
