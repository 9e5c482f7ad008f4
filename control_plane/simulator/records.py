r"""Cuts a stream of CSV bytes into records without changing a byte of them.

The real file holds fields in quotes with commas, line breaks and doubled quotes in them, a few dealers'
backslashes before quotes, and a line that no reading makes sense of stays possible. So a record is read in
three ways, the strictest first, and the first one that fits wins:

1. as RFC 4180 has it: quotes in a quoted field are doubled, a backslash is a character like any other;
2. with ``\"`` as a quote inside a quoted field;
3. as Python's ``csv`` does: stray quotes are characters.

The two looser ones must yield as many fields as the header has. Where none fits, the record ends before the
next line that starts like one (with a VIN), so that one broken record does not swallow those behind it.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

_BLOCK_BYTES = 4 * 2**20
#: No record of the real file comes near this; what looks longer is broken.
MOST_RECORD_BYTES = 2**20


def _record(quoted: bytes, unquoted: bytes) -> re.Pattern[bytes]:
    # possessive throughout: a byte is looked at once, whatever the record looks like
    field = b"(?:" + quoted + b"|" + unquoted + b")"
    return re.compile(field + b"(?:," + field + b")*+\n")


_STRICT = _record(quoted=rb'"(?:[^"]++|"")*+"\r?', unquoted=rb'[^,"\n]*+')
_BACKSLASH = _record(quoted=rb'"(?:[^"\\]++|\\[\s\S]|"")*+"\r?', unquoted=rb'[^,"\n]*+')
_STRAY = _record(quoted=rb'"(?:[^"]++|"")*+"[^,\n]*+', unquoted=rb'(?:[^,"\n][^,\n]*+)?+')
_FIELD_OF = {
    _STRICT: re.compile(rb'(?:"(?:[^"]++|"")*+"\r?|[^,"\n]*+)[,\n]'),
    _BACKSLASH: re.compile(rb'(?:"(?:[^"\\]++|\\[\s\S]|"")*+"\r?|[^,"\n]*+)[,\n]'),
    _STRAY: re.compile(rb'(?:"(?:[^"]++|"")*+"[^,\n]*+|(?:[^,"\n][^,\n]*+)?+)[,\n]'),
}
_QUOTED = re.compile(rb'"(?:[^"]++|"")*+"')
#: A line that starts with something like a VIN: 11 to 17 capitals and digits, at least one digit.
_NEXT_START = re.compile(rb"\n(?=\"?(?=[A-Z]*[0-9])[0-9A-Z]{11,17}\"?,)")


def records(file: BinaryIO) -> Iterator[bytes]:
    """The file's records with their line ends, the header first; blank lines are left out.

    Joined, they are the file. Memory stays within a few blocks of 4 MiB. A last line without its end gets
    none.
    """
    return (record for record in _cut(_Window(file)) if record.strip())


def count_fields(record: bytes) -> int:
    """Number of fields by the strict reading."""
    return _QUOTED.sub(b"", record).count(b",") + 1


def _count(record: bytes, reading: re.Pattern[bytes]) -> int:
    return len(_FIELD_OF[reading].findall(record))


class _Window:
    """The bytes not yet cut, refilled so that a whole record is in view."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes, self.position, self.at_end, self.unended = b"", 0, False, False

    def refill(self) -> None:
        block = self._file.read(_BLOCK_BYTES)
        self.bytes, self.position = self.bytes[self.position :] + block, 0
        if not block:
            self.at_end = True
            self.unended = bool(self.bytes) and not self.bytes.endswith(b"\n")
            # a line end that the file lacks spares every pattern a special case; ``take`` leaves it out again
            self.bytes += b"\n" if self.unended else b""

    @property
    def left(self) -> int:
        return len(self.bytes) - self.position

    def take(self, end: int) -> bytes:
        record = self.bytes[self.position : end]
        self.position = end
        last = self.at_end and end == len(self.bytes) and self.unended
        return record[:-1] if last else record


def _cut(window: _Window) -> Iterator[bytes]:
    columns: int | None = None
    while True:
        found = _STRICT.match(window.bytes, window.position)
        if found is None and window.left < MOST_RECORD_BYTES and not window.at_end:
            window.refill()
            continue
        if window.left == 0:
            return
        if columns is None:
            columns = _count(found.group(), _STRICT) if found else 0
        yield window.take(_end(window, found, columns))


def _end(window: _Window, found: re.Match[bytes] | None, columns: int) -> int:
    """Where the record at the window's position ends."""
    if found is not None and not _doubtful(found, columns):
        return found.end()
    for reading in (_BACKSLASH, _STRAY):
        looser = reading.match(window.bytes, window.position)
        if looser is not None and _count(looser.group(), reading) == columns:
            return looser.end()
    start = _NEXT_START.search(window.bytes, window.position + 1, window.position + MOST_RECORD_BYTES)
    if start is not None and (found is None or start.end() < found.end()):
        return start.end()
    if found is not None:
        return found.end()
    line = window.bytes.find(b"\n", window.position)
    return line + 1 if line >= 0 else len(window.bytes)


def _doubtful(found: re.Match[bytes], columns: int) -> bool:
    r"""Whether the strict reading fits by chance: over ``\"`` or a VIN's line, with wrong columns."""
    inside = found.string
    if inside.find(b'\\"', found.start(), found.end()) < 0:
        multiline = inside.find(b"\n", found.start(), found.end() - 1) >= 0
        if not multiline or _NEXT_START.search(inside, found.start(), found.end() - 1) is None:
            return False
    return _count(found.group(), _STRICT) != columns
