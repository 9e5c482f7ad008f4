"""Which records of ``listings`` are managers' prices and need no answer, as Python decides it.

Serving's query decides the same with column expressions (``spark_apps/serving/requests.py``); its ledger and
the audit need it in Python, to tell an unanswered request from a price. The two must agree on every sequence
of bytes: a property test holds them together, and the limits here are what makes agreement possible.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

# A price is four short fields. The bound also keeps every number within what both JSON parsers read.
MAX_PRICE_BYTES = 1000
MAX_DEPTH = 64


def is_price(value: bytes | None) -> bool:
    """Say whether the record is a well-formed price: it gets no answer, everything else gets one."""
    if value is None or len(value) > MAX_PRICE_BYTES or not _may_be_price(value):
        return False
    try:
        record = json.loads(value.decode("utf-8"), parse_constant=_refuse)
        return (
            isinstance(record, dict)
            and record.get("kind") == "price"
            and _usable(record.get("request_id"))
            and _finite(record.get("price"))
            and _depth(record) <= MAX_DEPTH
        )
    except (ValueError, RecursionError):
        return False


def _may_be_price(value: bytes) -> bool:
    # A glance that spares most requests the parser; "kind" and "price" may also be written with escapes.
    return b"price" in value or b"\\u" in value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _usable(request_id: Any) -> bool:
    # A lone surrogate ("\ud800") is JSON but no text: encoding raises UnicodeEncodeError, a ValueError.
    return isinstance(request_id, str) and len(request_id.encode("utf-8")) > 0


def _finite(price: Any) -> bool:
    try:
        return isinstance(price, int | float) and not isinstance(price, bool) and math.isfinite(price)
    except OverflowError:  # an integer beyond every double
        return False


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(item) for item in value), default=0)
    return 0
