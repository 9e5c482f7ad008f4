"""Shapley values of trees, held against their definition."""

from __future__ import annotations

import math
import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_apps.explaining.tree_shap import Forest, Nodes
from spark_apps.training.trees import Node, node_table

FEATURES = 4
CATEGORIES = 3  # of the last feature


def forest(trees: list[list[Node]], weights: list[float] | None = None) -> Forest:
    return Forest(Nodes.of(node_table(trees), np.array(weights or [1.0] * len(trees))), FEATURES)


def leaf(value: float, cover: float) -> Node:
    return Node(value, gain=-1.0, cover=cover)


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """A tree in pre-order of at most four levels; a feature may be asked about again and again."""
    nodes: list[Node] = []

    def grow(cover: float, depth: int) -> int:
        position = len(nodes)
        nodes.append(leaf(draw(st.integers(-8, 8)) / 2, cover))
        if depth == 4 or not draw(st.booleans()):
            return position
        feature = draw(st.integers(0, FEATURES - 1))
        share = draw(st.sampled_from([0.01, 0.25, 0.5, 0.9]))
        categorical = feature == FEATURES - 1
        left_values = draw(st.sets(st.integers(0, CATEGORIES - 1), min_size=1, max_size=CATEGORIES - 1))
        threshold = draw(st.integers(0, 2)) + 0.5
        left, right = grow(cover * share, depth + 1), grow(cover * (1 - share), depth + 1)
        nodes[position] = Node(
            0.0,
            gain=1.0,
            cover=cover,
            left=left,
            right=right,
            feature=feature,
            left_values=tuple(map(float, sorted(left_values))) if categorical else (threshold,),
            arity=CATEGORIES if categorical else -1,
        )
        return position

    grow(100.0, 0)
    return nodes


def answer(tree: list[Node], row: np.ndarray, known: set[int], at: int = 0) -> float:
    """What a tree says of a row of which only some features are known: its definition, by recursion."""
    node = tree[at]
    if node.left < 0:
        return node.prediction
    value = row[node.feature]
    goes_left = value in node.left_values if node.arity > 0 else value <= node.left_values[0]
    if node.feature in known:
        return answer(tree, row, known, node.left if goes_left else node.right)
    left, right = (answer(tree, row, known, child) for child in (node.left, node.right))
    share = tree[node.left].cover / node.cover
    return share * left + (1 - share) * right


def shapley(tree: list[Node], row: np.ndarray) -> np.ndarray:
    found = np.zeros(FEATURES)
    for feature in range(FEATURES):
        others = [other for other in range(FEATURES) if other != feature]
        for size in range(FEATURES):
            weight = math.factorial(size) * math.factorial(FEATURES - size - 1) / math.factorial(FEATURES)
            for known in map(set, combinations(others, size)):
                found[feature] += weight * (answer(tree, row, known | {feature}) - answer(tree, row, known))
    return found


rows = st.tuples(*[st.integers(0, 3)] * (FEATURES - 1), st.integers(0, CATEGORIES - 1)).map(
    lambda values: np.array(values, float)
)


@given(st.lists(trees(), min_size=1, max_size=3), rows)
def test_contributions_are_the_shapley_values_by_their_definition(
    grown: list[list[Node]], row: np.ndarray
) -> None:
    weights = [1.0, 0.5, 2.0][: len(grown)]
    expected = sum(weight * shapley(tree, row) for weight, tree in zip(weights, grown, strict=True))

    found = forest(grown, weights)

    assert found.contributions(row) == pytest.approx(expected, abs=1e-12)


@given(st.lists(trees(), min_size=1, max_size=3), rows)
def test_they_add_up_to_the_answer_less_the_expectation_and_an_unused_feature_gets_none(
    grown: list[list[Node]], row: np.ndarray
) -> None:
    everything = set(range(FEATURES))
    used = {node.feature for tree in grown for node in tree}

    found = forest(grown)

    assert found.predict(row) == pytest.approx(sum(answer(tree, row, everything) for tree in grown))
    assert found.expectation == pytest.approx(sum(answer(tree, row, set()) for tree in grown))
    assert found.contributions(row).sum() == pytest.approx(found.predict(row) - found.expectation, abs=1e-12)
    assert all(found.contributions(row)[feature] == 0 for feature in everything - used)


def test_the_largest_model_is_explained_in_less_than_a_second() -> None:
    """Of 80,000 nodes, the budget of a training, in complete trees."""
    random = np.random.default_rng(0)

    def grow(depth: int, cover: float, nodes: list[Node]) -> int:
        position = len(nodes)
        nodes.append(leaf(float(random.normal()), cover))
        if depth:
            left, right = grow(depth - 1, cover * 0.4, nodes), grow(depth - 1, cover * 0.6, nodes)
            feature, threshold = int(random.integers(FEATURES)), float(random.random())
            nodes[position] = Node(0.0, 1.0, cover, left, right, feature, (threshold,))
        return position

    grown: list[list[Node]] = [[] for _ in range(157)]
    for tree in grown:
        grow(8, 1_000.0, tree)
    found, row = forest(grown), random.random(FEATURES)
    found.contributions(row)

    started = time.monotonic()
    total = found.contributions(row).sum()

    assert time.monotonic() - started < 1
    assert total == pytest.approx(found.predict(row) - found.expectation, abs=1e-9)
