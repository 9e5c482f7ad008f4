"""The pictures of a training, from numbers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Numbers = np.ndarray[Any, Any]


def predicted_against_real(predicted: Numbers, real: Numbers) -> Figure:
    """Draw every predicted price over its real one, dollars, on logarithmic axes."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.loglog(real, np.maximum(predicted, 1), ".", markersize=2, alpha=0.4)
    ends = [float(real.min()), float(real.max())]
    axes.loglog(ends, ends, color="black", linewidth=1)
    axes.set(xlabel="real price, $", ylabel="predicted price, $", title="Test part: predicted against real")
    return figure


def residuals_by_price_band(predicted: Numbers, real: Numbers, bands: int = 8) -> Figure:
    """Draw the spread of predicted less real in bands of equally many cars by real price."""
    edges = np.quantile(real, np.linspace(0, 1, bands + 1))
    band = np.clip(np.searchsorted(edges, real, side="right") - 1, 0, bands - 1)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(
        [(predicted - real)[band == number] for number in range(bands)],
        showfliers=False,
        tick_labels=[f"{edges[n] / 1000:.0f}-{edges[n + 1] / 1000:.0f}" for n in range(bands)],
    )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(
        xlabel="real price, $1,000", ylabel="predicted less real, $", title="Test part: residuals by price"
    )
    return figure


def importances(by_name: Mapping[str, float], top: int = 25) -> Figure:
    """Draw the ``top`` features of the boosting member by their share of its gain."""
    ordered = sorted(by_name.items(), key=lambda item: item[1])[-top:]
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for name, _ in ordered], [share for _, share in ordered])
    axes.set(xlabel="share of the gain", title="Gradient boosting: importances")
    return figure


def calibration(held: Mapping[float, float]) -> Figure:
    """Draw the share of prices that the intervals hold over the share that they should hold."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.plot(list(held), list(held.values()), "o-")
    axes.set(
        xlim=(min(held) - 0.05, 1),
        ylim=(min(held) - 0.05, 1),
        xlabel="share of prices that the interval should hold",
        ylabel="share that it holds",
        title="Test part: calibration of the intervals",
    )
    return figure


def learning_curve(member: str, folds: Sequence[Mapping[str, Sequence[float]]]) -> Figure:
    """Draw the RMSE after each round, a line for each fold and each kind of rows."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, curves in enumerate(folds):
        for position, (name, curve) in enumerate(curves.items()):
            axes.plot(
                range(1, len(curve) + 1),
                curve,
                color=f"C{position}",
                alpha=0.7,
                label=f"{name} rows" if number == 0 else None,
            )
    axes.set(
        yscale="log",
        xlabel="rounds",
        ylabel="RMSE on the member's scale",
        title=f"{member.replace('_', ' ').capitalize()}: learning curve of each fold",
    )
    axes.legend()
    return figure
