"""Figures of gradients: the paper's figures 1(a) and 1(d)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmpareto.compare._comparison import Magnitude
from mmpareto.compare._drawing import BLUE, GREY, ORANGE, finite, literal, panels, styled
from mmpareto.compare._statistics import spread
from mmpareto.diagnostics import GeometryRow


@styled
def cosine_figure(geometry: Sequence[GeometryRow]) -> Figure:
    """Figure 1(a): cosine between joint and unimodal gradient in each step, a panel per modality.

    Args:
        geometry: The steps of one run, at least one.

    Returns:
        The figure; the share of steps in conflict is in the titles.
    """
    by_modality: dict[str, list[GeometryRow]] = {}
    for row in geometry:
        by_modality.setdefault(row.modality, []).append(row)
    figure, axes = panels(list(by_modality), 2.7)
    for name, ax in axes.items():
        _draw_cosines(ax, name, by_modality[name])
    handles = [Line2D([], [], color=c, marker="o", linestyle="") for c in (BLUE, ORANGE)]
    figure.legend(
        handles, ["cosine > 0", "cosine ≤ 0: conflict"], loc="outside lower center", ncols=2
    )
    return figure


def _draw_cosines(ax: Axes, name: str, rows: Sequence[GeometryRow]) -> None:
    step, cosine, conflict = np.array([(row.step, row.cosine, row.conflict) for row in rows]).T
    agreement_area, conflict_area = (5, 9) if len(rows) < 3000 else (2, 2)
    for mask, colour, area in (
        (cosine > 0, BLUE, agreement_area),
        (cosine <= 0, ORANGE, conflict_area),
    ):
        ax.scatter(step[mask], cosine[mask], area, colour, linewidths=0, alpha=0.8)
    share = conflict.mean()
    title = f"{literal(name)}: {100 * share:.1f}% of {len(rows):,} steps in conflict"
    ax.set_title(title, loc="left", fontweight="normal")
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(xlabel="training step", ylabel="cosine (joint, unimodal)", ylim=(-1.05, 1.05))


@styled
def magnitudes_figure(magnitudes: Sequence[Magnitude]) -> Figure:
    """Figure 1(d): histograms of the lengths of both gradients at a fixed encoder.

    Args:
        magnitudes: The lengths on mini-batches, of one method, at least one.

    Returns:
        The figure, a panel per modality; mean and variance are in the legends.
    """
    by_modality: dict[str, dict[str, list[float]]] = {}
    for row in magnitudes:
        norms = by_modality.setdefault(row.modality, {"joint": [], "unimodal": []})
        if row.objective in norms:
            norms[row.objective].append(row.norm)
    figure, axes = panels(list(by_modality), 2.9)
    for name, ax in axes.items():
        _draw_norms(ax, by_modality[name])
    return figure


def _draw_norms(ax: Axes, by_objective: dict[str, list[float]]) -> None:
    everything = finite(chain.from_iterable(by_objective.values()))
    bins = np.histogram_bin_edges(everything, min(30, 8 + len(everything) // 4)).tolist()
    for (objective, norms), colour in zip(by_objective.items(), (BLUE, ORANGE), strict=True):
        sample = finite(norms)
        statistics = spread(sample)
        label = f"{objective}: mean {statistics.mean:.3g}, variance {statistics.sd**2:.3g}"
        ax.hist(
            sample, bins, histtype="stepfilled", fc=(colour, 0.5), ec=colour, lw=1.2, label=label
        )
    ax.margins(y=0.35)  # room for the legend
    ax.legend(loc="upper left")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="gradient norm", ylabel="mini-batches")
