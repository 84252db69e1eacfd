"""The figures that a folder allows, each with its description for those who do not see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmpareto.compare._drawing import finite, png
from mmpareto.compare._figures import (
    accuracy_figure,
    cosine_figure,
    magnitudes_figure,
    summary_figure,
)
from mmpareto.compare._folder import Folder, Magnitude
from mmpareto.compare._results import Result, methods, modalities, score_of, scores
from mmpareto.compare._statistics import spread
from mmpareto.compare._wording import percent
from mmpareto.diagnostics import GeometryRow


@dataclass(frozen=True)
class Illustration:
    """A figure as PNG with its description."""

    png: bytes
    alt: str


def illustrations(folder: Folder) -> dict[str, Illustration]:
    """Draws the figures for which there is data.

    Args:
        folder: The comparison.

    Returns:
        Any of ``summary``, ``cosine``, ``accuracy``, ``magnitudes``.
    """
    drawn: dict[str, tuple[Figure, str]] = {}
    title = score_of(folder.results).title
    if means := _means(folder.results, "joint"):
        drawn["summary"] = (
            summary_figure(folder.results),
            f"Dot plot of the mean joint {title}: {means}.",
        )
    if folder.geometry:
        drawn["cosine"] = cosine_figure(folder.geometry), _cosine_alt(folder.geometry)
    if alt := _accuracy_alt(folder.results):
        drawn["accuracy"] = accuracy_figure(folder.results), alt
    if folder.magnitudes:
        drawn["magnitudes"] = (
            magnitudes_figure(folder.magnitudes),
            _magnitudes_alt(folder.magnitudes),
        )
    return {name: Illustration(png(figure), alt) for name, (figure, alt) in drawn.items()}


def _means(results: Sequence[Result], part: str) -> str:
    means = {name: spread(scores(results, name, part).values()).mean for name in methods(results)}
    return ", ".join(
        f"{name} {percent(mean)}%" for name, mean in means.items() if math.isfinite(mean)
    )


def _cosine_alt(geometry: Sequence[GeometryRow]) -> str:
    conflicts: dict[str, list[bool]] = {}
    for row in geometry:
        conflicts.setdefault(row.modality, []).append(row.conflict)
    shares = ", ".join(
        f"{name} {percent(float(np.mean(flags)))}%" for name, flags in conflicts.items()
    )
    return f"Cosine between joint and unimodal gradient per training step. Steps in conflict: {shares}."


def _accuracy_alt(results: Sequence[Result]) -> str:
    means = [f"{part}: {found}" for part in modalities(results) if (found := _means(results, part))]
    title = score_of(results).title
    return (
        f"Joint against unimodal {title} per method. Unimodal, {'; '.join(means)}." if means else ""
    )


def _magnitudes_alt(magnitudes: Sequence[Magnitude]) -> str:
    norms: dict[tuple[str, str], list[float]] = {}
    for row in magnitudes:
        norms.setdefault((row.modality, row.objective), []).append(row.norm)
    means = {key: np.mean(finite(norm) or [math.nan]) for key, norm in norms.items()}
    listed = ", ".join(
        f"{name} {objective} {mean:.3g}" for (name, objective), mean in means.items()
    )
    return f"Histograms of gradient norms over mini-batches. Means: {listed}."
