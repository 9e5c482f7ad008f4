"""XGBoost's trees as Spark's own ``GBTRegressionModel``, so that the saved model needs no library but Spark.

A split of XGBoost sends ``x < threshold`` to the left, one of Spark ``x <= threshold``: the threshold becomes
the largest double below it. Both see features rounded to float32 and none missing, so they agree to the
rounding of a float32 sum. All features are numbers: a split over categories would be searched in a set.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pyspark.ml.regression import GBTRegressionModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

_NUMERIC = -1


@dataclass(frozen=True)
class Node:
    """A node of a tree, as Spark keeps it; ``left`` and ``right`` are positions in the tree, -1 in a leaf.

    ``arity`` is -1 for a split at a threshold (``left_values`` holds just that), else the number of
    categories of which ``left_values`` go to the left.
    """

    prediction: float
    gain: float
    cover: float
    left: int = -1
    right: int = -1
    feature: int = -1
    left_values: tuple[float, ...] = ()
    arity: int = _NUMERIC


def parse(dump: str) -> list[Node]:
    """Read one tree of XGBoost's JSON dump (with statistics), in pre-order. Features are named f0, f1, …"""
    nodes: list[Node] = []
    _append(json.loads(dump), nodes)
    return nodes


def _append(dumped: dict[str, Any], nodes: list[Node]) -> int:
    position = len(nodes)
    if "leaf" in dumped:
        nodes.append(Node(float(dumped["leaf"]), gain=-1.0, cover=float(dumped["cover"])))
        return position
    feature = int(dumped["split"][1:])
    children = {child["nodeid"]: child for child in dumped["children"]}
    nodes.append(Node(0.0, 0.0, 0.0))  # the place in pre-order, filled once the children have theirs
    left_at = _append(children[dumped["yes"]], nodes)
    right_at = _append(children[dumped["no"]], nodes)
    cover = float(dumped["cover"])
    nodes[position] = Node(
        prediction=0.0,
        gain=float(dumped["gain"]) / cover if cover else 0.0,
        cover=cover,
        left=left_at,
        right=right_at,
        feature=feature,
        # The dump's digits tell float32 numbers apart, and the threshold is often a row's own value.
        left_values=(math.nextafter(float(np.float32(dumped["split_condition"])), -math.inf),),
    )
    return position


def gbt_model(
    spark: SparkSession, trees: Sequence[Sequence[Node]], *, features: int, folder: str
) -> GBTRegressionModel:
    """Build the model whose answer is the sum of what ``trees`` say of a vector of ``features`` numbers.

    The nodes are written to ``folder`` as a table and loaded from it: making them one by one over py4j
    takes a minute for a hundred thousand.
    """
    model_uid = f"GBTRegressor_{uuid4().hex[:12]}"
    own = {"numFeatures": features, "numTrees": len(trees)}
    metadata = _metadata("GBTRegressionModel", model_uid, spark.version, **own)
    spark.createDataFrame([(metadata,)], "value string").coalesce(1).write.text(f"{folder}/metadata")
    _write(spark, node_table(trees), f"{folder}/data")
    _write(spark, _tree_table(len(trees), spark.version), f"{folder}/treesMetadata")
    return GBTRegressionModel.load(folder)


def _write(spark: SparkSession, table: pa.Table, path: str) -> None:
    spark.createDataFrame(table).coalesce(1).write.parquet(path)


def _metadata(name: str, uid: str, version: str, **own: int) -> str:
    return json.dumps(
        {
            "class": f"org.apache.spark.ml.regression.{name}",
            "timestamp": int(time.time() * 1000),
            "sparkVersion": version,
            "uid": uid,
            "paramMap": {"impurity": "variance"},
            "defaultParamMap": {},
            **own,
        }
    )


def _tree_table(trees: int, version: str) -> pa.Table:
    rows = [_metadata("DecisionTreeRegressionModel", f"tree_{number}", version) for number in range(trees)]
    return pa.table({"_1": pa.array(range(trees), pa.int32()), "_2": rows, "_3": [1.0] * trees})


_SPLIT = pa.struct(
    {
        "featureIndex": pa.int32(),
        "leftCategoriesOrThreshold": pa.list_(pa.float64()),
        "numCategories": pa.int32(),
    }
)
_NODE = pa.struct(
    {
        "id": pa.int32(),
        "prediction": pa.float64(),
        "impurity": pa.float64(),
        "impurityStats": pa.list_(pa.float64()),
        "rawCount": pa.int64(),
        "gain": pa.float64(),
        "leftChild": pa.int32(),
        "rightChild": pa.int32(),
        "split": _SPLIT,
    }
)


def node_table(trees: Sequence[Sequence[Node]]) -> pa.Table:
    """Return Spark's table of the nodes of all ``trees``: ``treeID`` and ``nodeData``."""
    numbers = [number for number, tree in enumerate(trees) for _ in tree]
    nodes = [_row(position, node) for tree in trees for position, node in enumerate(tree)]
    return pa.table({"treeID": pa.array(numbers, pa.int32()), "nodeData": pa.array(nodes, _NODE)})


def _row(position: int, node: Node) -> dict[str, Any]:
    """Return a row of Spark's node table; gain times count is XGBoost's gain, for the importances."""
    return {
        "id": position,
        "prediction": node.prediction,
        "impurity": 0.0,
        "impurityStats": [node.cover, 0.0, 0.0],
        "rawCount": int(node.cover),
        "gain": node.gain,
        "leftChild": node.left,
        "rightChild": node.right,
        "split": {
            "featureIndex": node.feature,
            "leftCategoriesOrThreshold": list(node.left_values),
            "numCategories": node.arity,
        },
    }
