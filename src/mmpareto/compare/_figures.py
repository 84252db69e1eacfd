"""The paper's figures 1(a), 1(c) and 1(d), and a summary, drawn from the runs of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmpareto.compare._drawing import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    finite,
    literal,
    looks,
    panels,
    styled,
)
from mmpareto.compare._folder import Magnitude
from mmpareto.compare._results import Result, methods, modalities, score_of, scores
from mmpareto.compare._statistics import half_width, spread
from mmpareto.diagnostics import GeometryRow
from mmpareto.partition import JOINT


@styled
def cosine_figure(geometry: Sequence[GeometryRow]) -> Figure:
    """Figure 1(a): cosine between the joint and the unimodal gradient in each step, a panel per modality.

    Args:
        geometry: The steps of one run, at least one.

    Returns:
        The figure; the share of steps in conflict is in the titles.
    """
    figure, axes = panels(list(dict.fromkeys(row.modality for row in geometry)), 2.7)
    for name, ax in axes.items():
        rows = [row for row in geometry if row.modality == name]
        step, cosine = np.array([row.step for row in rows]), np.array([row.cosine for row in rows])
        for chosen, colour, area in ((cosine > 0, BLUE, 5), (cosine <= 0, ORANGE, 9)):
            ax.scatter(
                step[chosen],
                cosine[chosen],
                area if len(step) < 3000 else 2,
                colour,
                linewidths=0,
                alpha=0.8,
            )
        share = np.mean([row.conflict for row in rows])
        title = f"{literal(name)}: {100 * share:.1f}% of {len(rows):,} steps in conflict"
        ax.set_title(title, loc="left", fontweight="normal")
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set(xlabel="training step", ylabel="cosine (joint, unimodal)", ylim=(-1.05, 1.05))
    handles = [Line2D([], [], color=c, marker="o", linestyle="") for c in (BLUE, ORANGE)]
    figure.legend(
        handles, ["cosine > 0", "cosine ≤ 0: conflict"], loc="outside lower center", ncols=2
    )
    return figure


@styled
def accuracy_figure(results: Sequence[Result]) -> Figure:
    """Figure 1(c): test joint accuracy, or other score, against unimodal, a marker per method, a panel per modality.

    Args:
        results: Results on one data set, with the score of at least one modality.

    Returns:
        The figure; bars are sample standard deviations over seeds, dashed lines training with a
        single loss: the joint score of ``joint`` (vertical), the modality's in ``ensemble``
            (horizontal).
    """
    names = [name for name in methods(results) if scores(results, name)]
    parts = [
        part for part in modalities(results) if any(scores(results, name, part) for name in names)
    ]
    figure, axes = panels(parts, 3.2)
    look, title = looks(names), score_of(results).title
    for part, ax in axes.items():
        for name in names:
            x, y = (
                spread(scores(results, name, objective).values()) for objective in (JOINT, part)
            )
            dx, dy = np.nan_to_num(x.sd), np.nan_to_num(y.sd)
            if math.isfinite(x.mean + y.mean):
                ax.errorbar(100 * x.mean, 100 * y.mean, 100 * dy, 100 * dx, lw=1, **look[name])
        _single_loss_lines(ax, results, part)
        ax.set(xlabel=f"joint {title} (%)", ylabel=f"{literal(part)} {title} (%)")
    handles = [Line2D([], [], ls="", label=literal(name), **look[name]) for name in names]
    handles += [line for ax in axes.values() for line in ax.lines if line.get_linestyle() == "--"][
        :1
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    return figure


def _single_loss_lines(ax: Axes, results: Sequence[Result], part: str) -> None:
    joint = spread(scores(results, "joint").values()).mean
    alone = spread(scores(results, "ensemble", part).values()).mean
    for draw, at in ((ax.axvline, joint), (ax.axhline, alone)):
        if math.isfinite(at):
            draw(100 * at, color=PALE, linestyle="--", lw=1, zorder=0.9, label="one loss alone")


@styled
def magnitudes_figure(magnitudes: Sequence[Magnitude]) -> Figure:
    """Figure 1(d): histograms of both gradients' lengths over mini-batches at a fixed encoder, a panel per modality.

    Args:
        magnitudes: Of one method, at least one.

    Returns:
        The figure; mean and variance are in the legends.
    """
    figure, axes = panels(list(dict.fromkeys(row.modality for row in magnitudes)), 2.9)
    for name, ax in axes.items():
        norms = {
            objective: finite(
                row.norm for row in magnitudes if (row.modality, row.objective) == (name, objective)
            )
            for objective in ("joint", "unimodal")
        }
        both = [*chain(*norms.values())]
        bins = np.histogram_bin_edges(both, min(30, 8 + len(both) // 4)).tolist()
        for (objective, norm), colour in zip(norms.items(), (BLUE, ORANGE), strict=True):
            of = spread(norm)
            label = f"{objective}: mean {of.mean:.3g}, variance {of.sd**2:.3g}"
            ax.hist(
                norm, bins, histtype="stepfilled", fc=(colour, 0.5), ec=colour, lw=1.2, label=label
            )
        ax.margins(y=0.35)  # room for the legend
        ax.legend(loc="upper left")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="gradient norm", ylabel="mini-batches")
    return figure


@styled
def summary_figure(results: Sequence[Result]) -> Figure:
    """Test joint score of each method: every seed, the mean, and its 95% interval.

    Args:
        results: Results on one data set, with at least one test joint score.

    Returns:
        The figure.
    """
    by_method = {name: finite(scores(results, name).values()) for name in methods(results)}
    names = [name for name, sample in by_method.items() if sample]
    look = looks(methods(results))
    figure, axes = panels([""], 0.9 + 0.36 * len(names))
    ax = axes[""]
    for y, name in enumerate(names):
        of = spread(by_method[name])
        half = 100 * np.nan_to_num(half_width(of))
        dots = look[name]["color"]
        ax.scatter(
            100 * np.array(by_method[name]),
            [y + 0.18] * of.count,
            14,
            dots,
            alpha=0.5,
            linewidths=0,
        )
        ax.errorbar(100 * of.mean, y - 0.1, xerr=half, lw=2, **look[name])
    ax.set_title(
        "dots: trainings; bar: their mean and its 95% interval", loc="right", fontsize="small"
    )
    ax.set(
        yticks=range(len(names)),
        yticklabels=map(literal, names),
        xlabel=f"joint {score_of(results).title} on the test split (%)",
    )
    left, right = ax.get_xlim()
    if min(map(min, filter(None, by_method.values()))) >= 0:  # R squared may be negative
        left = max(left, -1)
    ax.set(
        xlim=(left, min(right, 101)), ylim=(len(names) - 0.5, -0.5)
    )  # an interval may exceed 100%
    ax.grid(axis="y", visible=False)
    return figure
