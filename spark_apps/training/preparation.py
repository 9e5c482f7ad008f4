"""The stages before every member: raw text to two vectors, one for trees and one for planes."""

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
    NUMBERS,
    RANK_COLUMNS,
    TEXT_COLUMNS,
    Labels,
    statement,
)
from spark_apps.training.embedding import (
    INTERACTIONS,
    NARROW,
    Embedding,
    embed,
    one_hot_widths,
    priors,
    slope_widths,
)
from spark_apps.training.planes import NormalEquations, normal_equations

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

TREE_FEATURES = "tree_features"
PLANE_FEATURES = "plane_features"

NUMBERS_VECTOR = "numbers"
ONE_HOTS = "one_hots"
EMBEDDED = "embedded"
_TREE_VALUES = "tree_values"
_ONE_HOT_COLUMNS = tuple(f"one_hot_{name}" for name in CATEGORIES)

# The numbers that interact with categories in what the embedding is learned from.
INTERACTING = tuple(sorted({f"number_{number}" for _, number in INTERACTIONS}))

# What the stages add, and the saved model drops again.
PREPARED_COLUMNS: tuple[str, ...] = (
    *NUMBER_COLUMNS,
    *TEXT_COLUMNS,
    *INDEX_COLUMNS,
    *RANK_COLUMNS,
    *_ONE_HOT_COLUMNS,
    NUMBERS_VECTOR,
    ONE_HOTS,
    EMBEDDED,
    _TREE_VALUES,
    TREE_FEATURES,
    PLANE_FEATURES,
)


@dataclass(frozen=True)
class Encoding:
    """What is fitted before any member, on the rows that it is fitted on too.

    ``equations`` are those of the plane's features and, after them, of the interactions, for the logarithm.
    """

    labels: Labels
    embedding: Embedding
    equations: NormalEquations

    @property
    def plane_equations(self) -> NormalEquations:
        """The equations of ``plane_features`` alone."""
        return self.equations.first(plane_size(self.labels))


def plane_size(labels: Labels) -> int:
    """Return how many numbers ``plane_features`` has."""
    return len(NUMBERS) + sum(one_hot_widths(labels))


def tree_feature_names(encoding: Encoding) -> tuple[str, ...]:
    """Return the names of the tree features, in order; the places of a one-hot vector share one."""
    widths = dict(zip(CATEGORIES, one_hot_widths(encoding.labels), strict=True))
    narrow = (name for name in NARROW for _ in range(widths[name]))
    return (*NUMBERS, *RANK_COLUMNS, *encoding.embedding.names, *narrow)


def encode(rows: DataFrame, labels: Labels, label: str) -> Encoding:
    """Fit what is fitted of the vectors.

    Needs: ``numbers``, the interacting numbers, the texts, and ``label`` (the logarithm of the price).
    """
    stages = [*plane_stages(labels), *interaction_stages(labels)]
    features = (NUMBERS_VECTOR, ONE_HOTS, *(f"{category}_by_{number}" for category, number in INTERACTIONS))
    equations = normal_equations(
        PipelineModel(stages).transform(rows), features, label, priors(labels, numbers=len(NUMBERS))
    )
    return Encoding(labels, embed(labels, equations, numbers=len(NUMBERS)), equations)


def numbers_stage() -> Transformer:
    """Return the stage that puts the numbers into one vector, ``numbers``."""
    return _assembler(NUMBER_COLUMNS, NUMBERS_VECTOR)


def plane_stages(labels: Labels) -> list[Transformer]:
    """Return the stages from ``numbers`` and the texts to the vector of planes."""
    return [
        labels.indexer(),
        _one_hot_encoder(labels),
        _assembler(_ONE_HOT_COLUMNS, ONE_HOTS),
        _assembler((NUMBERS_VECTOR, ONE_HOTS), PLANE_FEATURES),
    ]


def interaction_stages(labels: Labels) -> list[Transformer]:
    """Return the stages that add what the embedding is learned from, and no model keeps."""
    stages: list[Transformer] = []
    for (category, number), width in zip(INTERACTIONS, slope_widths(labels), strict=True):
        name = f"{category}_by_{number}"
        frequent = f"frequent_{name}"
        stages += [
            VectorSlicer(inputCol=f"one_hot_{category}", outputCol=frequent, indices=list(range(width))),
            Interaction(inputCols=[frequent, f"number_{number}"], outputCol=name),
        ]
    return stages


def vector_stages(encoding: Encoding) -> list[Transformer]:
    """Return the stages from ``numbers`` and the texts to the two vectors."""
    narrow = (f"one_hot_{name}" for name in NARROW)
    return [
        *plane_stages(encoding.labels),
        encoding.embedding.stage(ONE_HOTS, EMBEDDED),
        _assembler((NUMBERS_VECTOR, *RANK_COLUMNS, EMBEDDED, *narrow), _TREE_VALUES),
        _dense(_TREE_VALUES, TREE_FEATURES, len(tree_feature_names(encoding))),
    ]


def raw_stages(today: float, encoding: Encoding) -> list[Transformer]:
    """Return the stages from raw text to the two vectors; they add :data:`PREPARED_COLUMNS`."""
    return [SQLTransformer(statement=statement(today)), numbers_stage(), *vector_stages(encoding)]


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
