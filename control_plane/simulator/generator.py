"""Listings without end in the dataset's exact form, reproducible by seed and in bounded memory."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from control_plane.simulator.cars import Cars, draw_cars, with_wrong_prices
from control_plane.simulator.columns import COLUMNS, Column, columns_of
from control_plane.simulator.facts import Floats
from control_plane.simulator.parts import PartFiles

CHUNK_ROWS = 10_000
_ROWS_PER_PART = 250_000
#: The real file holds 3,000,040 rows with 3,000,000 VINs: 40 listings stand in it twice.
DUPLICATE_SHARE = 40 / 3_000_040
WRONG_PRICE_SHARE = 1 / 50_000
_HEADER = (",".join(COLUMNS) + "\n").encode()
_GREATEST_SEED = 2**32


@dataclass(frozen=True)
class BestPossible:
    """The error, in dollars, of a model that knows each listing's expected price given all its attributes.

    The squared error is least for the mean of the price, the absolute error for its median; each is measured
    at its own. Attributes that the file leaves empty are known to this model too, so no real one comes quite
    as near.
    """

    rows: int
    rmse: float
    mae: float


@dataclass(frozen=True)
class GenerationReport:
    """What ``generate`` wrote; ``best`` is over listings with right prices, ``best_with_wrong`` over all.

    Both leave out prices that ``generate`` was told to leave out.
    """

    rows: int
    parts: tuple[Path, ...]
    bytes: int
    seconds: float
    duplicates: int
    wrong_prices: int
    best: BestPossible
    best_with_wrong: BestPossible


@dataclass(frozen=True)
class _Chunk:
    columns: list[Column]
    cars: Cars
    wrong: list[int]
    copies: list[tuple[int, int]]  # (row, the row that it repeats)

    def records(self) -> list[bytes]:
        """CSV records, each with its line end."""
        lines = [
            (",".join(row) + "\n").encode()
            for row in zip(*(column.fields for column in self.columns), strict=True)
        ]
        for row, repeated in self.copies:
            lines[row] = lines[repeated]
        return lines

    def listings(self) -> Iterator[dict[str, str]]:
        rows = [*zip(*(column.values for column in self.columns), strict=True)]
        for row, repeated in self.copies:
            rows[row] = rows[repeated]
        return (dict(zip(COLUMNS, row, strict=True)) for row in rows)


def generate(
    rows: int,
    seed: int,
    out: Path,
    parts: int | None = None,
    *,
    within: tuple[float, float] = (0, inf),
    on_rows: Callable[[int], None] | None = None,
) -> GenerationReport:
    """Write ``rows`` listings as ``out/part-00000.csv`` and so on, each part with the header.

    The same rows and seed give the same listings, whatever the number of parts (by default one for each
    250,000). The best possible errors are those over prices ``within`` these dollars, both included.
    ``on_rows`` is called with the number of rows written since its last call.
    """
    _check(rows, seed)
    count = parts or max(1, -(-rows // _ROWS_PER_PART))
    if not 1 <= count <= max(rows, 1):
        raise ValueError(f"parts is {count}: give a number from 1 to the number of rows ({rows})")
    started, errors, copies = time.monotonic(), _Errors(within), 0
    sizes = [rows * (number + 1) // count - rows * number // count for number in range(count)]
    files = PartFiles(out, _HEADER, sizes)
    for chunk in _chunks(rows, seed):
        records = chunk.records()
        files.write(records)
        errors.add(chunk)
        copies += len(chunk.copies)
        if on_rows is not None:
            on_rows(len(records))
    files.close()
    best, best_with_wrong = errors.best()
    return GenerationReport(
        rows=rows,
        parts=tuple(files.paths),
        bytes=files.bytes,
        seconds=time.monotonic() - started,
        duplicates=copies,
        wrong_prices=best_with_wrong.rows - best.rows,
        best=best,
        best_with_wrong=best_with_wrong,
    )


def listings(rows: int, seed: int) -> Iterator[dict[str, str]]:
    """The same listings one by one, a text for each of the 66 columns ("" where the file has nothing)."""
    _check(rows, seed)
    for chunk in _chunks(rows, seed):
        yield from chunk.listings()


def _check(rows: int, seed: int) -> None:
    if rows < 0:
        raise ValueError(f"rows is {rows}: give a number from 0 up")
    if not 0 <= seed < _GREATEST_SEED:
        raise ValueError(f"seed is {seed}: give a number from 0 to {_GREATEST_SEED - 1}")


def _chunks(rows: int, seed: int) -> Iterator[_Chunk]:
    """Each chunk has its own random stream, so that it does not matter what was drawn before it."""
    for number, start in enumerate(range(0, rows, CHUNK_ROWS)):
        stop = min(rows, start + CHUNK_ROWS)
        rng = np.random.default_rng([seed, number])
        cars = draw_cars(stop - start, rng)
        wrong_before, wrong_now = _events(start, stop, WRONG_PRICE_SHARE)
        _, copied = _events(start, stop, DUPLICATE_SHARE)
        special = rng.permutation(stop - start)[: wrong_now + 2 * copied].tolist()
        wrong, pairs = special[:wrong_now], special[wrong_now:]
        cars = with_wrong_prices(cars, wrong, wrong_before)
        columns = columns_of(cars, start, seed, rng)
        yield _Chunk(columns, cars, wrong, [*zip(pairs[::2], pairs[1::2], strict=False)])


def _events(start: int, stop: int, share: float) -> tuple[int, int]:
    """How many rare events fall before row ``start``, and how many from there to ``stop``."""
    before = int(start * share + 0.5)
    return before, int(stop * share + 0.5) - before


class _Errors:
    """Sums for the best possible errors, right prices and wrong ones apart."""

    def __init__(self, within: tuple[float, float]) -> None:
        self._within = within
        self._sums = np.zeros((2, 3))  # right, wrong: rows, squared errors, absolute errors

    def add(self, chunk: _Chunk) -> None:
        cars = chunk.cars
        wrong = np.zeros(len(cars.price), dtype=bool)
        wrong[chunk.wrong] = True
        least, most = self._within
        counted = (cars.price >= least) & (cars.price <= most)
        for i, chosen in enumerate((counted & ~wrong, counted & wrong)):
            price = cars.price[chosen]
            squared, absolute = (price - cars.expected[chosen]) ** 2, np.abs(price - cars.median[chosen])
            self._sums[i] += (len(price), squared.sum(), absolute.sum())

    def best(self) -> tuple[BestPossible, BestPossible]:
        return _best(self._sums[0]), _best(self._sums.sum(axis=0))


def _best(sums: Floats) -> BestPossible:
    rows, squared, absolute = sums.tolist()
    return BestPossible(int(rows), (squared / max(rows, 1)) ** 0.5, absolute / max(rows, 1))
