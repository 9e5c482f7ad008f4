"""Listings as people have them: a JSON object, one a line, or CSV with the header of the dataset."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Without these serving rejects a listing.
REQUIRED = ("make_name", "model_name", "year")


class ListingFileError(ValueError):
    """What was given holds no listings; the message says why."""


def read(file: Path) -> tuple[str, str]:
    """Return what the file ("-": standard input) says, and its name."""
    try:
        if str(file) == "-":
            if sys.stdin.isatty():
                sys.stderr.write("a listing as JSON or CSV, then Ctrl-D:\n")
            return sys.stdin.buffer.read().decode(), "standard input"
        return file.read_text("utf-8"), str(file)
    except OSError as error:
        raise ListingFileError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ListingFileError(f"{file} is not a text in UTF-8") from None


def listings(text: str, source: str) -> list[str]:
    """Return the listings in ``text``, which came from ``source``, each a JSON object on one line.

    JSON stays as it is written but for its line breaks: 1e3 and 1000.0 are not the same text, and a text is
    what the model reads.
    """
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith("{"):
        return [json.dumps(row) for row in _csv_rows(text, source)]
    lines = text.splitlines()
    if len(lines) > 1 and all(_is_object(line) for line in lines if line.strip()):
        return [line for line in lines if line.strip()]
    _object(text, source)
    return [text.replace("\r", " ").replace("\n", " ")]


def one_listing(text: str, source: str) -> str:
    """Return the one listing in ``text`` that can be priced."""
    found = listings(text, source)
    if len(found) != 1:
        raise ListingFileError(f"{source} holds {len(found)} listings: give one")
    listing = _object(found[0], source)
    if missing := [name for name in REQUIRED if listing.get(name) in (None, "")]:
        raise ListingFileError(f"{source} gets no price: required columns missing: {', '.join(missing)}")
    return found[0]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ListingFileError(f"{source} is not JSON: {error}") from None
    return found


def _csv_rows(text: str, source: str) -> list[dict[str, str]]:
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    if not rows or "make_name" not in rows[0]:
        raise ListingFileError(
            f"{source} is neither a JSON object nor CSV with the header of listings (make_name, …)"
        )
    header, *found = rows
    for row in found:
        if len(row) != len(header):
            raise ListingFileError(f"{source} has {len(row)} fields under a header of {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in found]
