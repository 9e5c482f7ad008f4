"""The stages before every member: raw text to one vector of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from pyspark import SparkContext
from pyspark.ml import PipelineModel
from pyspark.ml.feature import (
    Interaction,
    OneHotEncoderModel,
    SQLTransformer,
    StandardScalerModel,
    VectorAssembler,
    VectorSlicer,
)

from spark_apps.jvm import jvm
from spark_apps.listings.features import (
    CATEGORIES,
    INDEX_COLUMNS,
    NUMBER_COLUMNS,
    RANK_COLUMNS,
    TEXT_COLUMNS,
    Labels,
    statement,
)
from spark_apps.training.embedding import (
    INTERACTIONS,
    LEVEL_COLUMNS,
    PRODUCTS,
    SLOPE_COLUMNS,
    Embedding,
    embed,
    slope_widths,
)
from spark_apps.training.planes import normal_equations

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

    from spark_apps.listings.facts import Facts

FEATURES = "features"

_VALUES = "feature_values"
_ONE_HOTS = "one_hots"
_ONE_HOT_COLUMNS = tuple(f"one_hot_{name}" for name in CATEGORIES)

# On the scale of the other features, and in float32, as trees see them.
_LOG_RANKS = {f"log_{rank}": f"CAST(CAST(ln(1 + {rank}) AS FLOAT) AS DOUBLE)" for rank in RANK_COLUMNS}

#: What trees see, in the order of the vector. A product says nothing to them that its factors do not.
TREE_FEATURES: tuple[str, ...] = (*NUMBER_COLUMNS, *_LOG_RANKS, *LEVEL_COLUMNS, *SLOPE_COLUMNS)
#: The columns that are put together to :data:`FEATURES`, and what people call them.
FEATURE_COLUMNS: tuple[str, ...] = (*TREE_FEATURES, *PRODUCTS)
FEATURE_NAMES: tuple[str, ...] = tuple(column.removeprefix("number_") for column in FEATURE_COLUMNS)

# What the stages add, and the saved model drops again.
PREPARED_COLUMNS: tuple[str, ...] = (
    *TEXT_COLUMNS,
    *INDEX_COLUMNS,
    *RANK_COLUMNS,
    *FEATURE_COLUMNS,
    _VALUES,
    FEATURES,
)


@dataclass(frozen=True)
class Encoding:
    """What is fitted before any member, on the rows that it is fitted on too."""

    labels: Labels
    embedding: Embedding


def encode(rows: DataFrame, labels: Labels, label: str) -> Encoding:
    """Fit what is fitted of the vector.

    Needs: the numbers, the texts, and ``label`` (the logarithm of the price).
    """
    stages = [
        labels.indexer(),
        _one_hot_encoder(labels),
        _assembler(_ONE_HOT_COLUMNS, _ONE_HOTS),
        *_interaction_stages(labels),
    ]
    features = (*NUMBER_COLUMNS, _ONE_HOTS, *SLOPE_COLUMNS)
    equations = normal_equations(PipelineModel(stages).transform(rows), features, label)
    return Encoding(labels, embed(labels, equations))


def vector_stages(encoding: Encoding) -> list[Transformer]:
    """Return the stages from the numbers and the texts to the vector."""
    added = ", ".join(f"{sql} AS {column}" for column, sql in (_LOG_RANKS | PRODUCTS).items())
    looked_up = ", ".join(encoding.embedding.looked_up())
    return [
        encoding.labels.indexer(),
        SQLTransformer(statement=f"SELECT *, {added} FROM (SELECT *, {looked_up} FROM __THIS__)"),  # noqa: S608
        _assembler(FEATURE_COLUMNS, _VALUES),
        _dense(_VALUES, FEATURES, len(FEATURE_COLUMNS)),
    ]


def raw_stages(facts: Facts, encoding: Encoding) -> list[Transformer]:
    """Return the stages from raw text to the vector; they add :data:`PREPARED_COLUMNS`."""
    return [SQLTransformer(statement=statement(facts)), *vector_stages(encoding)]


def _interaction_stages(labels: Labels) -> list[Transformer]:
    """Return the stages that add each interaction, under the name of its slopes."""
    stages: list[Transformer] = []
    for (category, number), name, width in zip(
        INTERACTIONS, SLOPE_COLUMNS, slope_widths(labels), strict=True
    ):
        frequent = f"frequent_{name}"
        stages += [
            VectorSlicer(inputCol=f"one_hot_{category}", outputCol=frequent, indices=list(range(width))),
            Interaction(inputCols=[frequent, f"number_{number}"], outputCol=name),
        ]
    return stages


def _one_hot_encoder(labels: Labels) -> OneHotEncoderModel:
    """Make the stage without a fit, which would learn from the data only what the labels say."""
    sizes: Any = SparkContext._gateway.new_array(jvm().int, len(labels.arities))  # type: ignore[union-attr]
    for position, arity in enumerate(labels.arities):
        sizes[position] = arity
    java_model = jvm().org.apache.spark.ml.feature.OneHotEncoderModel(
        f"OneHotEncoder_{uuid4().hex[:12]}", sizes
    )
    encoder = cast("OneHotEncoderModel", OneHotEncoderModel._from_java(java_model))
    encoder.set(encoder.inputCols, list(INDEX_COLUMNS))
    encoder.set(encoder.outputCols, list(_ONE_HOT_COLUMNS))
    encoder.set(encoder.dropLast, False)  # a value, not a switch
    encoder.set(encoder.handleInvalid, "keep")
    return encoder


def _dense(column: str, to: str, size: int) -> StandardScalerModel:
    """Make the stage that gives a vector as a dense one, by taking 0 from each of its values.

    An assembler makes a sparse vector of a listing with little in it, and in that a tree searches for the
    feature at each of its nodes: rows are scored by an eighth faster without that.
    """
    vectors = jvm().org.apache.spark.ml.linalg.Vectors
    java_model = jvm().org.apache.spark.ml.feature.StandardScalerModel(
        f"StandardScaler_{uuid4().hex[:12]}", vectors.zeros(size), vectors.zeros(size)
    )
    scaler = cast("StandardScalerModel", StandardScalerModel._from_java(java_model))
    scaler.set(scaler.withMean, True)  # a value, not a switch
    scaler.set(scaler.withStd, False)
    return scaler.setInputCol(column).setOutputCol(to)


def _assembler(columns: tuple[str, ...], to: str) -> VectorAssembler:
    return VectorAssembler(inputCols=list(columns), outputCol=to, handleInvalid="keep")
