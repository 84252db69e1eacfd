"""Figures of test scores: the paper's figure 1(c), and a summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmpareto.compare._drawing import PALE, finite, literal, looks, panels, styled
from mmpareto.compare._results import Result, measured, methods, modalities, score_of, scores
from mmpareto.compare._roles import ENSEMBLE, JOINT_LOSS
from mmpareto.compare._statistics import Spread, half_width, spread
from mmpareto.partition import JOINT


@styled
def accuracy_figure(results: Sequence[Result]) -> Figure:
    """Figure 1(c): test joint score against unimodal, a marker per method, a panel per modality.

    Args:
        results: Results on one data set, with the score of at least one modality.

    Returns:
        The figure; bars are sample standard deviations over seeds, dashed lines training with a
        single loss: the joint score with the joint loss alone (vertical), the modality's of the
        networks that are trained apart (horizontal).
    """
    names = measured(results)
    shown = [part for part in modalities(results) if set(measured(results, part)) & set(names)]
    figure, axes = panels(shown, 3.2)
    look, title = looks(names), score_of(results).title
    for modality, ax in axes.items():
        for name in names:
            _mark(ax, _spread(results, name), _spread(results, name, modality), look[name])
        _draw_single_losses(ax, results, modality)
        ax.set(xlabel=f"joint {title} (%)", ylabel=f"{literal(modality)} {title} (%)")
    handles = [Line2D([], [], ls="", label=literal(name), **look[name]) for name in names]
    handles += _first_dashed(axes.values())
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    return figure


def _spread(results: Sequence[Result], method: str, objective: str = JOINT) -> Spread:
    return spread(scores(results, method, objective).values())


def _mark(ax: Axes, joint: Spread, unimodal: Spread, look: dict[str, Any]) -> None:
    if math.isfinite(joint.mean + unimodal.mean):
        ax.errorbar(
            100 * joint.mean,
            100 * unimodal.mean,
            100 * np.nan_to_num(unimodal.sd),
            100 * np.nan_to_num(joint.sd),
            lw=1,
            **look,
        )


def _draw_single_losses(ax: Axes, results: Sequence[Result], modality: str) -> None:
    joint, alone = _spread(results, JOINT_LOSS), _spread(results, ENSEMBLE, modality)
    for draw, position in ((ax.axvline, joint.mean), (ax.axhline, alone.mean)):
        if math.isfinite(position):
            draw(
                100 * position, color=PALE, linestyle="--", lw=1, zorder=0.9, label="one loss alone"
            )


def _first_dashed(axes: Iterable[Axes]) -> list[Line2D]:
    """The line that stands for all dashed ones in the legend, if there is any."""
    for ax in axes:
        for line in ax.lines:
            if line.get_linestyle() == "--":
                return [line]
    return []


@styled
def summary_figure(results: Sequence[Result]) -> Figure:
    """Test joint score of each method: every seed, the mean, and its 95% interval.

    Args:
        results: Results on one data set, with at least one test joint score.

    Returns:
        The figure.
    """
    samples = {}
    for name in methods(results):
        if sample := finite(scores(results, name).values()):
            samples[name] = sample
    look = looks(methods(results))
    figure, axes = panels([""], 0.9 + 0.36 * len(samples))
    ax = axes[""]
    for row, (name, sample) in enumerate(samples.items()):
        mean, half = spread(sample).mean, np.nan_to_num(half_width(spread(sample)))
        heights = [row + 0.18] * len(sample)
        colour = look[name]["color"]
        ax.scatter(100 * np.array(sample), heights, 14, colour, alpha=0.5, linewidths=0)
        ax.errorbar(100 * mean, row - 0.1, xerr=100 * half, lw=2, **look[name])
    ax.set_title(
        "dots: trainings; bar: their mean and its 95% interval", loc="right", fontsize="small"
    )
    ax.set(
        yticks=range(len(samples)),
        yticklabels=map(literal, samples),
        xlabel=f"joint {score_of(results).title} on the test split (%)",
    )
    left, right = ax.get_xlim()
    if min(map(min, samples.values())) >= 0:  # R squared may be negative
        left = max(left, -1)
    # An interval may exceed 100%.
    ax.set(xlim=(left, min(right, 101)), ylim=(len(samples) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    return figure
