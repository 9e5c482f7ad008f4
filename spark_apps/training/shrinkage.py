"""A ridge regression that is told by the data how far to draw its coefficients to the mean.

The coefficients of a group (what each of all models is worth, say) are taken for draws from one normal
distribution. Its variance is that under which the data are likeliest: evidence maximisation (MacKay 1992,
"Bayesian interpolation"), which for groups of labels is what a mixed model does. So one car tells much of
what a model is worth, as models differ by more than cars of one model do, and next to nothing of a colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

if TYPE_CHECKING:
    from collections.abc import Sequence

Numbers = np.ndarray[Any, Any]

_ROUNDS = 12  # at most; some six are enough
_SETTLED = 0.1  # of a prior, relative
_PROBES = 8
# The rows that a prior counts for, at least and at most. Beyond some hundreds a group says next to nothing.
_PRIORS = (1e-3, 1e6)
_NOTHING = 300.0


@dataclass(frozen=True)
class NormalEquations:
    """The sums over rows of which every ridge regression on the same features is solved.

    ``gram`` (features by features), ``moments`` (features) and ``label_square`` are sums of products of
    features and label less their means, which are ``means`` (features) and ``label_mean``; ``rows`` is how
    many rows there are.
    """

    gram: Numbers
    moments: Numbers
    means: Numbers
    label_mean: float
    label_square: float
    rows: float


@dataclass(frozen=True)
class Ridge:
    """A solved ridge regression: a group's ``priors`` are the rows by which it is drawn to the mean."""

    coefficients: Numbers
    intercept: float
    priors: tuple[float, ...]


def ridge(equations: NormalEquations, groups: Sequence[int]) -> Ridge:
    """Solve for coefficients of which the first ``groups[0]`` are one group, the next ``groups[1]`` another.

    Each round costs one Cholesky factor of ``gram``; the traces that it needs are estimated by probing
    (Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix"), with the same probes for
    the same groups. A group that nothing was seen of stays at 0.
    """
    ends = np.cumsum(groups)
    spans = [slice(end - size, end) for end, size in zip(ends, groups, strict=True)]
    probes = _probes(spans, int(ends[-1]))
    wanted = np.column_stack([equations.moments, *probes])
    priors = np.ones(len(spans))
    coefficients = np.zeros(len(equations.moments))
    for _ in range(_ROUNDS):
        penalised = equations.gram.copy()
        penalised[np.diag_indices_from(penalised)] += np.repeat(priors, groups)
        solved = cho_solve(cho_factor(penalised, overwrite_a=True, check_finite=False), wanted)
        coefficients, rest = solved[:, 0], solved[:, 1:]
        traces = _traces(spans, probes, rest)
        squares = np.array([coefficients[span] @ coefficients[span] for span in spans])
        # How many of a group's coefficients the data tell, rather than the prior.
        told = np.clip(groups - priors * traces, 1e-6, None)
        left = equations.label_square - coefficients @ equations.moments - priors @ squares
        noise = max(left, 1e-12) / max(equations.rows - told.sum(), 1.0)
        before, priors = priors, np.clip(noise * told / np.maximum(squares, 1e-300), *_PRIORS)
        moved = np.abs(np.log(np.minimum(priors, _NOTHING) / np.minimum(before, _NOTHING)))
        if moved.max() < _SETTLED:
            break
    intercept = equations.label_mean - float(coefficients @ equations.means)
    return Ridge(coefficients, intercept, tuple(priors.tolist()))


def _probes(spans: Sequence[slice], features: int) -> list[Numbers]:
    """Return for each group columns of ±1 in its places, or of a small one each place alone."""
    random = np.random.default_rng(0)
    probes = []
    for span in spans:
        size = span.stop - span.start
        probe = np.zeros((features, min(size, _PROBES)))
        probe[span] = np.eye(size) if size <= _PROBES else random.choice([-1.0, 1.0], (size, _PROBES))
        probes.append(probe)
    return probes


def _traces(spans: Sequence[slice], probes: Sequence[Numbers], solved: Numbers) -> Numbers:
    """Return the trace of each group's block of the inverse."""
    traces, begin = [], 0
    for span, probe in zip(spans, probes, strict=True):
        columns = probe.shape[1]
        found = float((probe[span] * solved[span, begin : begin + columns]).sum())
        traces.append(found if span.stop - span.start <= _PROBES else found / columns)
        begin += columns
    return np.array(traces)
