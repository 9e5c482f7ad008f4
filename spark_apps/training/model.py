"""The model that serves: one pipeline of stock Spark stages from raw text to a price with its interval."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer

from spark_apps.training.members import PriceRange, log_column, price_sql
from spark_apps.training.preparation import PREPARED_COLUMNS
from spark_apps.training.stacking import STACK, STACK_FEATURES, Stack, price_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.ml import Transformer

    from spark_apps.training.intervals import Intervals


def pricing_model(
    prepared: Sequence[Transformer],
    fitted: Mapping[str, Sequence[Transformer]],
    stack: Stack,
    intervals: Intervals,
    within: PriceRange,
) -> PipelineModel:
    """Put the stages together: ``prepared`` make the vectors, ``fitted`` has each member's stages by name.

    No member's price is beyond what it is to be ``within``.

    Needs: the raw columns as text. Adds: ``prediction``, ``low``, ``high`` (double, dollars), ``members``
    (struct of one double a member, dollars) and ``unreadable`` (the raw columns whose value was there and
    could not be read, as text); passes every other column through.
    """
    return PipelineModel(
        [
            *prepared,
            *chain.from_iterable(fitted.values()),
            _prices(tuple(fitted), within),
            *stack.stages(),
            _answer(tuple(fitted), intervals),
        ]
    )


def _prices(members: tuple[str, ...], within: PriceRange) -> SQLTransformer:
    prices = ", ".join(f"{price_sql(member, within)} AS {price_column(member)}" for member in members)
    dropped = ", ".join((*PREPARED_COLUMNS, *map(log_column, members)))
    return SQLTransformer(statement=f"SELECT * EXCEPT ({dropped}), {prices} FROM __THIS__")  # noqa: S608


def _answer(members: tuple[str, ...], intervals: Intervals) -> SQLTransformer:
    low, high = intervals.sql(STACK)
    struct = ", ".join(f"'{member}', {price_column(member)}" for member in members)
    dropped = ", ".join((STACK, STACK_FEATURES, *map(price_column, members)))
    return SQLTransformer(
        statement=(
            f"SELECT * EXCEPT ({dropped}), greatest(0D, {STACK}) AS prediction, "  # noqa: S608
            f"{low} AS low, {high} AS high, named_struct({struct}) AS members FROM __THIS__"
        )
    )
