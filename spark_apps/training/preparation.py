"""The stages before every member: raw text to two vectors, one for trees and one for planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from pyspark import SparkContext
from pyspark.ml.feature import OneHotEncoderModel, SQLTransformer, StandardScalerModel, VectorAssembler

from spark_apps.jvm import jvm
from spark_apps.listings.features import (
    CATEGORIES,
    INDEX_COLUMNS,
    NUMBER_COLUMNS,
    NUMBERS,
    RANK_COLUMNS,
    TEXT_COLUMNS,
    Labels,
    statement,
)

if TYPE_CHECKING:
    from pyspark.ml import Transformer

TREE_FEATURES = "tree_features"
PLANE_FEATURES = "plane_features"

NUMBERS_VECTOR = "numbers"
_TREE_VALUES = "tree_values"
_ONE_HOT_COLUMNS = tuple(f"one_hot_{name}" for name in CATEGORIES)

# What the stages add, and the saved model drops again.
PREPARED_COLUMNS: tuple[str, ...] = (
    *NUMBER_COLUMNS,
    *TEXT_COLUMNS,
    *INDEX_COLUMNS,
    *RANK_COLUMNS,
    *_ONE_HOT_COLUMNS,
    NUMBERS_VECTOR,
    _TREE_VALUES,
    TREE_FEATURES,
    PLANE_FEATURES,
)


def tree_arities(labels: Labels) -> tuple[int, ...]:
    """Say of each of the tree features how many categories it has; -1 for a number."""
    return (*(-1 for _ in (*NUMBER_COLUMNS, *RANK_COLUMNS)), *labels.arities)


def tree_feature_names() -> tuple[str, ...]:
    """Return the names of the tree features, in order."""
    return (*NUMBERS, *RANK_COLUMNS, *CATEGORIES)


def numbers_stage() -> Transformer:
    """Return the stage that puts the numbers into one vector, ``numbers``."""
    return _assembler(NUMBER_COLUMNS, NUMBERS_VECTOR)


def vector_stages(labels: Labels) -> list[Transformer]:
    """Return the stages from ``numbers`` and the categories to the two vectors."""
    return [
        labels.indexer(),
        _one_hot_encoder(labels),
        _assembler((NUMBERS_VECTOR, *RANK_COLUMNS, *INDEX_COLUMNS), _TREE_VALUES),
        _dense(_TREE_VALUES, TREE_FEATURES, len(tree_arities(labels))),
        _assembler((NUMBERS_VECTOR, *_ONE_HOT_COLUMNS), PLANE_FEATURES),
    ]


def raw_stages(today: float, labels: Labels) -> list[Transformer]:
    """Return the stages from raw text to the two vectors; they add :data:`PREPARED_COLUMNS`."""
    return [SQLTransformer(statement=statement(today)), numbers_stage(), *vector_stages(labels)]


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
