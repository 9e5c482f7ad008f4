"""Shapley values of trees whose answers add up (path-dependent TreeSHAP), for one row, exactly.

The game is that of Lundberg et al. 2018 ("Consistent individualized feature attribution for tree
ensembles"): a feature that is known takes the row's own branch, one that is not takes both, by how many
training rows (the cover) each got. So a leaf of value v adds v · ∏ (known ? o : z) over the features on its
path, where o says whether the row goes along and z is the share of rows that do.

The Shapley value of a game is the integral of its multilinear extension's derivative along the diagonal
(Owen 1972, "Multilinear extensions of games"); of such a leaf it is

    φ_i = v · (o_i - z_i) · ∫₀¹ ∏_{j≠i} (z_j + t (o_j - z_j)) dt.

That is the integral of a polynomial, which Gauss and Legendre's rule with n points gives exactly up to the
degree 2n - 1: no recursion, and all leaves of all trees at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Nodes:
    """The nodes of all trees, one entry each; ``parent`` is a position among them, -1 of a root.

    ``value`` and ``feature`` are 0 where they mean nothing: in an inner node and in a leaf. A row goes to the
    left where its feature is at most ``threshold`` (-inf of a split over categories), or where it is one of
    the ``category`` of a node; those are pairs of ``category_node`` and ``category``.
    """

    parent: Numbers
    is_left: Numbers
    is_leaf: Numbers
    value: Numbers
    cover: Numbers
    feature: Numbers
    threshold: Numbers
    category_node: Numbers
    category: Numbers

    @classmethod
    def of(cls, table: pa.Table, weights: Numbers) -> Nodes:
        """Read Spark's table of nodes (``treeID``, ``nodeData``); a tree's answers count by its weight."""
        tree = table["treeID"].to_numpy()
        nodes = table["nodeData"].combine_chunks()
        order = np.lexsort((nodes.field("id").to_numpy(), tree))
        tree, nodes = tree[order], nodes.take(order)
        left, right = (nodes.field(name).to_numpy() for name in ("leftChild", "rightChild"))
        is_leaf = left < 0
        inner = np.flatnonzero(~is_leaf)
        first = np.searchsorted(tree, tree[inner])  # the position of the root: a child's id counts from there
        parent, is_left = np.full(len(tree), -1), np.zeros(len(tree), bool)
        parent[first + left[inner]] = parent[first + right[inner]] = inner
        is_left[first + left[inner]] = True

        split = nodes.field("split")
        values = split.field("leftCategoriesOrThreshold")
        count, flat = values.value_lengths().to_numpy(), values.flatten().to_numpy()
        numeric = ~is_leaf & (split.field("numCategories").to_numpy() < 0)
        owner = np.repeat(np.arange(len(tree)), count)
        threshold = np.full(len(tree), -np.inf)
        threshold[numeric] = flat[numeric[owner]]
        categorical = ~is_leaf[owner] & ~numeric[owner]
        return cls(
            parent=parent,
            is_left=is_left,
            is_leaf=is_leaf,
            value=np.where(is_leaf, nodes.field("prediction").to_numpy() * weights[tree], 0.0),
            cover=_covers(nodes),
            feature=np.where(is_leaf, 0, split.field("featureIndex").to_numpy()),
            threshold=threshold,
            category_node=owner[categorical],
            category=flat[categorical],
        )

    def to_left(self, row: Numbers) -> Numbers:
        """Say of each inner node whether ``row`` goes to the left there."""
        left = row[self.feature] <= self.threshold
        found = self.category == row[self.feature[self.category_node]]
        left[self.category_node[found]] = True
        return np.asarray(left)


def _covers(nodes: pa.StructArray) -> Numbers:
    """Return the nodes' covers: the impurity's first statistic, which is not rounded as ``rawCount`` is."""
    stats = nodes.field("impurityStats")
    starts = np.concatenate([[0], np.cumsum(stats.value_lengths().to_numpy())[:-1]])
    return np.asarray(stats.flatten().to_numpy()[starts])


@dataclass(frozen=True)
class Forest:
    """Trees whose answers add up, ready to explain one row after the other.

    ``features`` is how many a row has. Every cover must be above 0.
    """

    nodes: Nodes
    features: int

    @cached_property
    def expectation(self) -> float:
        """The mean answer over the training rows, as the covers count them."""
        paths = self._paths
        return self._alone + float(np.multiply.reduceat(paths.share, paths.leaf_starts) @ paths.value)

    def predict(self, row: Numbers) -> float:
        """Return the answer for ``row``."""
        paths = self._paths
        return self._alone + float(np.logical_and.reduceat(self._along(row), paths.leaf_starts) @ paths.value)

    def contributions(self, row: Numbers) -> Numbers:
        """Return each feature's Shapley value: together, the answer for ``row`` less the expectation."""
        paths, found = self._paths, np.zeros(self.features)
        by_row = self._along(row).astype(float) - paths.share
        points, weights = np.polynomial.legendre.leggauss(paths.points)
        for point, weight in zip((1 + points) / 2, weights / 2, strict=True):
            factor = paths.share + point * by_row
            product = np.multiply.reduceat(factor, paths.leaf_starts) * paths.value
            terms = weight * product[paths.leaf] * by_row / factor
            found += np.bincount(paths.feature, terms, minlength=self.features)
        return found

    def _along(self, row: Numbers) -> Numbers:
        """Say of each feature of each path whether ``row`` goes along at all its splits."""
        nodes, paths = self.nodes, self._paths
        taken = nodes.to_left(row)[nodes.parent] == nodes.is_left
        return np.asarray(np.logical_and.reduceat(taken[paths.edges], paths.edge_starts))

    @cached_property
    def _alone(self) -> float:
        """What trees of a single leaf say."""
        nodes = self.nodes
        return float(nodes.value[nodes.is_leaf & (nodes.parent < 0)].sum())

    @cached_property
    def _paths(self) -> _Paths:
        return _Paths.of(self.nodes)


@dataclass(frozen=True)
class _Paths:
    """Every leaf's path from its root, one entry for each feature on it.

    ``edges`` are the nodes that the path goes into, those of one feature together from ``edge_starts`` on.
    ``value`` is that of the leaf, one for each that has a path; ``leaf`` says which one an entry is of.
    """

    edges: Numbers
    edge_starts: Numbers
    feature: Numbers
    share: Numbers
    leaf: Numbers
    leaf_starts: Numbers
    value: Numbers

    @property
    def points(self) -> int:
        """How many points the rule needs: a polynomial's degree is one less than the path's features."""
        return max(1, (int(np.bincount(self.leaf).max(initial=0)) + 1) // 2)

    @classmethod
    def of(cls, nodes: Nodes) -> _Paths:
        leaves = np.flatnonzero(nodes.is_leaf & (nodes.parent >= 0))
        owners, edges = [], []
        owner, node = np.arange(len(leaves)), leaves
        while len(node):
            owners.append(owner)
            edges.append(node)
            above = nodes.parent[node]
            inner = nodes.parent[above] >= 0
            owner, node = owner[inner], above[inner]
        of, into = (np.concatenate([*parts, np.empty(0, int)]) for parts in (owners, edges))
        feature = nodes.feature[nodes.parent[into]]
        order = np.lexsort((feature, of))
        of, into, feature = of[order], into[order], feature[order]
        starts = np.flatnonzero(np.diff(of, prepend=-1) | np.diff(feature, prepend=-1))
        share = nodes.cover[into] / nodes.cover[nodes.parent[into]]
        return cls(
            edges=into,
            edge_starts=starts,
            feature=feature[starts],
            share=np.multiply.reduceat(share, starts),
            leaf=of[starts],
            leaf_starts=np.flatnonzero(np.diff(of[starts], prepend=-1)),
            value=nodes.value[leaves],
        )
