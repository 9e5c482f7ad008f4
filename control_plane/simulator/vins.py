"""Vehicle identification numbers: 17 characters with the right check digit and year, each row its own."""

import numpy as np
import numpy.typing as npt

from control_plane.simulator.facts import Ints, Texts

_ALPHABET = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"  # no I, O, Q
_YEAR_CODES = "ABCDEFGHJKLMNPRSTVWXY123456789"  # from 1980 on, again from 2010 on
_PLANTS = "ABCDEFGHJKLMNPRSTUVWXYZ123456789"
_SERIALS = 1_000_000
_CAPACITY = len(_PLANTS) * _SERIALS
#: Odd and not a multiple of 5, so that multiplying by it permutes the numbers below the capacity.
_STRIDE = 19_260_817
_CHECKED_BY_X = 10
_WEIGHTS = np.array([8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2])
#: The letters' values in the check sum (49 CFR 565.15); digits stand for themselves.
_VALUES = np.zeros(128, dtype=np.int64)
for _letters in ("ABCDEFGH", "JKLMN", "STUVWXYZ"):
    _first = 2 if _letters[0] == "S" else 1
    for _position, _letter in enumerate(_letters):
        _VALUES[ord(_letter)] = _first + _position
_VALUES[ord("P")], _VALUES[ord("R")] = 7, 9
for _digit in range(10):
    _VALUES[ord("0") + _digit] = _digit


def _codes(alphabet: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(alphabet.encode(), dtype=np.uint8)


def vins(wmi: Texts, version: Ints, year: Ints, row: Ints, seed: int, rng: np.random.Generator) -> list[str]:
    """One VIN a row: maker ``wmi``, ``version`` in the descriptor, ``row`` of the whole run in the serial."""
    n, alphabet = len(row), _codes(_ALPHABET)
    characters = np.empty((n, 17), dtype=np.uint8)
    characters[:, :3] = np.frombuffer("".join(wmi.tolist()).encode(), dtype=np.uint8).reshape(n, 3)
    base = len(alphabet)
    for position in range(3):
        characters[:, 3 + position] = alphabet[version // base**position % base]
    characters[:, 6:8] = alphabet[rng.integers(0, base, (n, 2))]
    characters[:, 8] = ord("0")
    characters[:, 9] = _codes(_YEAR_CODES)[(year - 1980) % len(_YEAR_CODES)]
    number = (row * _STRIDE + seed * 7_777_777) % _CAPACITY
    characters[:, 10] = _codes(_PLANTS)[number // _SERIALS]
    for position in range(6):
        characters[:, 16 - position] = ord("0") + number % _SERIALS // 10**position % 10
    remainder = (_VALUES[characters] * _WEIGHTS).sum(axis=1) % 11
    characters[:, 8] = np.where(remainder == _CHECKED_BY_X, ord("X"), ord("0") + remainder)
    joined = characters.tobytes().decode("ascii")
    return [joined[start : start + 17] for start in range(0, 17 * n, 17)]
