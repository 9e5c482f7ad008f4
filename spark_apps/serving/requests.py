"""Records of ``listings`` as column expressions: parsed, told apart, and rejected with a reason.

Nothing here throws, whatever the bytes are: a record that cannot be used becomes a rejected answer. It
all runs in the JVM and ends up as two projections and a filter: a hand-over waits for the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from pyspark.sql import functions as F

from control_plane.prices import MAX_DEPTH, MAX_PRICE_BYTES
from spark_apps.listings.cleaning import CLEAN, MISSING
from spark_apps.listings.schema import RAW_COLUMNS, REQUIRED_COLUMNS, text_schema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Jackson reads one JSON value and never looks at what follows. So a record is read as the element before
# an end mark: {"<name>": [<record>, {"end": true}]}. The name is a new one in every process, so that no
# record can close the array, open a second one and seem whole.
_NAME = f"r{uuid4().hex}"
# A variant keeps apart the text "5" and the number 5.
_HEAD = "kind: string, request_id: variant, price: variant, `end`: boolean"
_RECORD = f"struct<{_HEAD}, listing: {text_schema().simpleString()}>"
_TEXT = "CAST(value AS STRING)"


def _json(element: str, depth: int) -> str:
    """Return SQL for the record and its end mark as an array; null when the record is not JSON to its end."""
    wrapped = f"""concat('{{"{_NAME}": [', {_TEXT}, ', {{"end": true}}]}}')"""
    options = f"map('allowSingleQuotes', 'false', 'maxNestingDepth', '{depth + 2}')"
    return f"from_json({wrapped}, '{_NAME} array<{element}>', {options}).{_NAME}"


# Of the array that the SQL above gives, by the name of ``records``:
_WHOLE = "(size(records) <=> 2 AND records[1].`end` <=> true AND records[0] IS NOT NULL)"
_ID = "try_variant_get(records[0].request_id, '$', 'string')"
_USABLE_ID = f"(schema_of_variant(records[0].request_id) <=> 'STRING' AND {_ID} <> '')"
_PRICE = "try_variant_get(records[0].price, '$', 'double')"
_FINITE_PRICE = f"""coalesce(schema_of_variant(records[0].price) RLIKE '^(BIGINT|DECIMAL|DOUBLE)'
                    AND abs({_PRICE}) < double('Infinity'), false)"""

# What makes a price malformed, in the order in which it is looked at.
_PRICE_PROBLEMS = {
    f"a price of more than {MAX_PRICE_BYTES:,} bytes": f"octet_length(value) > {MAX_PRICE_BYTES}",
    "a price without a usable request_id: it must be a text that is not empty": f"NOT {_USABLE_ID}",
    "a price that is not a finite number": f"NOT {_FINITE_PRICE}",
    "a price with numbers that JSON does not know": f"try_parse_json({_TEXT}) IS NULL",
}
# A short record is parsed a second time here, and without its listing: a filter above the one parser would
# be pushed below it, and take a copy of it along for every mention. The lambda stands for a "let".
_IS_PRICE = f"""
    CASE WHEN octet_length(value) <= {MAX_PRICE_BYTES} AND is_valid_utf8({_TEXT})
              AND ({_TEXT} LIKE '%price%' OR contains({_TEXT}, '\\\\u'))
    THEN exists(array({_json(f"struct<{_HEAD}>", MAX_DEPTH)}), records ->
                {_WHOLE} AND records[0].kind <=> 'price' AND NOT ({" OR ".join(_PRICE_PROBLEMS.values())}))
    ELSE false END"""


def requests(listings: DataFrame, *, max_bytes: int) -> DataFrame:
    """Turn records of ``listings`` into one row a request, ready for the model; prices are passed over.

    Needs: the columns of Spark's Kafka source, in a session whose time zone is UTC. Gives: every raw
    column of a listing as text, and ``request``, a struct of ``id`` (the request's, else the record key's
    text, else null), ``rejection`` (why it gets no price; null when it gets one), ``partition``,
    ``offset`` and ``requested_at`` (ISO 8601 in UTC, the broker's clock). The raw columns of a rejected
    request may be null.
    """
    waiting = listings.where(F.expr(f"NOT ({_IS_PRICE})"))
    parsed = waiting.select("key", "value", "partition", "offset", "timestamp", _records(max_bytes))
    raw = [F.expr(f"records[0].listing.`{column}`").alias(column) for column in RAW_COLUMNS]
    return parsed.select("*", *raw).select(
        F.struct(
            _request_id(max_bytes).alias("id"),
            _rejection(max_bytes).alias("rejection"),
            "partition",
            "offset",
            F.date_format("timestamp", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").alias("requested_at"),
        ).alias("request"),
        *RAW_COLUMNS,
    )


def prices(listings: DataFrame) -> DataFrame:
    """Keep the records of ``listings`` that are well-formed prices: those that get no answer.

    Needs: ``value`` (binary). Keeps all columns. :func:`requests` has every other record.
    """
    return listings.where(F.expr(_IS_PRICE))


def _records(max_bytes: int) -> Column:
    readable = f"octet_length(value) <= {max_bytes} AND is_valid_utf8({_TEXT})"
    return F.expr(f"CASE WHEN {readable} THEN {_json(_RECORD, MAX_DEPTH)} END").alias("records")


def _request_id(max_bytes: int) -> Column:
    key = "CAST(key AS STRING)"
    usable_key = f"octet_length(key) BETWEEN 1 AND {max_bytes} AND is_valid_utf8({key})"
    return F.expr(f"CASE WHEN {_WHOLE} AND {_USABLE_ID} THEN {_ID} WHEN {usable_key} THEN {key} END")


def _rejection(max_bytes: int) -> Column:
    """Return why the request gets no price, or null: the first reason in the order of reading."""
    reasons = [
        ("value IS NULL", "'not JSON: the record has no value'"),
        (f"octet_length(value) > {max_bytes}", f"'longer than {max_bytes:,} bytes'"),
        (f"NOT {_WHOLE}", _why_not_whole()),
        *(
            (f"records[0].kind <=> 'price' AND {problem}", f"'{reason}'")
            for reason, problem in _PRICE_PROBLEMS.items()
        ),
        ("NOT records[0].kind <=> 'request'", "'kind is neither request nor price'"),
        (f"NOT {_USABLE_ID}", "'no usable request_id: it must be a text that is not empty'"),
        ("records[0].listing IS NULL", "'no listing: it must be an object'"),
        (f"{_missing()} <> ''", f"concat('required columns missing: ', {_missing()})"),
    ]
    return F.expr("CASE " + " ".join(f"WHEN {test} THEN {reason}" for test, reason in reasons) + " END")


def _why_not_whole() -> str:
    # A second look that only such a record gets: every element as text, at any depth that Jackson writes.
    is_json = f"size({_json('string', 1000)}) <=> 2"
    return f"""CASE WHEN NOT is_valid_utf8({_TEXT}) THEN 'not JSON: not UTF-8'
                    WHEN NOT {is_json} THEN 'not JSON'
                    WHEN NOT ltrim({_TEXT}) LIKE '{{%' THEN 'not an object'
                    ELSE 'nested deeper than {MAX_DEPTH} levels' END"""


def _missing() -> str:
    """Return SQL for the required columns that are not there, as "a, b"; a year must be a number."""
    absent = {column: f"trim({column}) IN {MISSING}" for column in REQUIRED_COLUMNS}
    absent["year"] = f"({CLEAN['year']}) IS NULL"
    names = (f"CASE WHEN {column} IS NULL OR {test} THEN '{column}' END" for column, test in absent.items())
    return f"concat_ws(', ', {', '.join(names)})"
