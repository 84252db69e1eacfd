"""The figures that a comparison allows, each with its description for those who do not see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmpareto.compare._comparison import Comparison, Magnitude
from mmpareto.compare._drawing import finite, png
from mmpareto.compare._geometry_figures import cosine_figure, magnitudes_figure
from mmpareto.compare._results import Result, methods, modalities, score_of, scores
from mmpareto.compare._score_figures import accuracy_figure, summary_figure
from mmpareto.compare._statistics import spread
from mmpareto.compare._wording import percent
from mmpareto.diagnostics import GeometryRow
from mmpareto.partition import JOINT


@dataclass(frozen=True)
class Illustration:
    """A figure with its description.

    Args:
        png: The figure as PNG.
        alt: Its description.
    """

    png: bytes
    alt: str


def illustrations(comparison: Comparison) -> dict[str, Illustration]:
    """Draws the figures for which there are data.

    Args:
        comparison: The comparison.

    Returns:
        Any of ``summary``, ``cosine``, ``accuracy``, ``magnitudes``.
    """
    results = comparison.results
    pictures = {}

    def add(name: str, figure: Figure, alt: str) -> None:
        pictures[name] = Illustration(png(figure), alt)

    means = _means(results, JOINT)
    if means:
        alt = f"Dot plot of the mean joint {score_of(results).title}: {means}."
        add("summary", summary_figure(results), alt)
    if comparison.geometry:
        add("cosine", cosine_figure(comparison.geometry), _cosine_alt(comparison.geometry))
    accuracy_alt = _accuracy_alt(results)
    if accuracy_alt:
        add("accuracy", accuracy_figure(results), accuracy_alt)
    if comparison.magnitudes:
        alt = _magnitudes_alt(comparison.magnitudes)
        add("magnitudes", magnitudes_figure(comparison.magnitudes), alt)
    return pictures


def _means(results: Sequence[Result], objective: str) -> str:
    """Mean score of each method that has one."""
    means = []
    for name in methods(results):
        mean = spread(scores(results, name, objective).values()).mean
        if math.isfinite(mean):
            means.append(f"{name} {percent(mean)}%")
    return ", ".join(means)


def _cosine_alt(geometry: Sequence[GeometryRow]) -> str:
    conflicts: dict[str, list[bool]] = {}
    for row in geometry:
        conflicts.setdefault(row.modality, []).append(row.conflict)
    shares = [f"{name} {percent(float(np.mean(flags)))}%" for name, flags in conflicts.items()]
    return (
        "Cosine between joint and unimodal gradient per training step. Steps in conflict: "
        f"{', '.join(shares)}."
    )


def _accuracy_alt(results: Sequence[Result]) -> str:
    """The mean of each modality and method; empty where there is none."""
    lines = []
    for modality in modalities(results):
        means = _means(results, modality)
        if means:
            lines.append(f"{modality}: {means}")
    if not lines:
        return ""
    title = score_of(results).title
    return f"Joint against unimodal {title} per method. Unimodal, {'; '.join(lines)}."


def _magnitudes_alt(magnitudes: Sequence[Magnitude]) -> str:
    norms: dict[str, list[float]] = {}
    for row in magnitudes:
        norms.setdefault(f"{row.modality} {row.objective}", []).append(row.norm)
    means = []
    for name, sample in norms.items():
        means.append(f"{name} {np.mean(finite(sample) or [math.nan]):.3g}")
    return f"Histograms of gradient norms over mini-batches. Means: {', '.join(means)}."
