"""Clusters of features, the same at every call."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 100


def kmeans(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Number of each point's cluster, int64 [N], by Lloyd's method from k-means++ centres.

    Args:
        points: Tensor [N, width].
        count: Number of clusters.
        generator: Draws the first centres.

    Example:
        >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> clusters = kmeans(points, 2, torch.Generator().manual_seed(0)).tolist()
        >>> clusters[0] == clusters[1], clusters[2] == clusters[3], clusters[0] == clusters[2]
        (True, True, False)
    """
    centres = _first_centres(points, count, generator)
    clusters = torch.cdist(points, centres).argmin(1)
    for _ in range(_ROUNDS):
        sums = torch.zeros_like(centres).index_add_(0, clusters, points)
        sizes = torch.bincount(clusters, minlength=count)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
        moved = torch.cdist(points, centres).argmin(1)
        if torch.equal(moved, clusters):
            break
        clusters = moved
    return clusters


def purity(clusters: Tensor, label: Tensor, count: int) -> float:
    """Share of the samples whose label is the most frequent one of their cluster.

    Example:
        >>> purity(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), 2)
        0.75
    """
    table = torch.bincount(clusters * count + label, minlength=count * count).view(count, count)
    return float(table.amax(1).sum()) / len(label)


def _first_centres(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Each centre a point, drawn in proportion to its squared distance from those before."""
    number = int(torch.randint(len(points), (1,), generator=generator))
    centres = points[number][None]
    while len(centres) < count:
        nearest = torch.cdist(points, centres).amin(1).square()
        chances = nearest if nearest.sum() > 0 else torch.ones_like(nearest)
        drawn = int(torch.multinomial(chances, 1, generator=generator))
        centres = torch.cat([centres, points[drawn][None]])
    return centres
