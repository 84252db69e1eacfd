"""A joint prediction from which some samples' modalities are dropped."""

from __future__ import annotations

import torch
from torch import Tensor

from mmpareto.balancing._view import Features, View


def joint_loss_dropping(view: View, modalities: list[str], rates: Tensor) -> Tensor:
    """The joint loss where each sample's features of each modality are dropped at random.

    What is kept is divided by 1 less the mean rate, weighted by the features' widths. A sample that
    would lose all its modalities keeps them.

    Args:
        view: The batch.
        modalities: All M modalities.
        rates: Tensor [M], the probability with which each is dropped.
    """
    present = [name for name in modalities if name in view.features]
    columns = [modalities.index(name) for name in present]
    has = torch.stack([presence(view, name) for name in present], 1)
    kept = (view.uniform(len(modalities)) >= rates)[:, columns] & has
    kept = torch.where(kept.any(1, keepdim=True), kept, has)
    scale = 1 / (1 - mean_rate(view.features, modalities, rates))
    features = {}
    for name, factors in zip(present, (kept * scale).unbind(1), strict=True):
        feature = view.features[name]
        everywhere = factors.view(-1, *[1] * (feature.dim() - 1))
        features[name] = feature * everywhere.to(feature.dtype)
    return view.joint_loss(view.fuse(features))


def mean_rate(features: Features, modalities: list[str], rates: Tensor) -> Tensor:
    """Mean of the rates of the modalities present, weighted by their features' widths, 0-d."""
    total = torch.zeros_like(rates[0])
    width = 0
    for name, rate in zip(modalities, rates.unbind(), strict=True):
        if name in features:
            total = total + features[name][0].numel() * rate
            width += features[name][0].numel()
    return total / width


def presence(view: View, modality: str) -> Tensor:
    """Which samples [B] have a modality."""
    label, rows = view.label, view.rows.get(modality)
    if rows is None:
        return torch.ones(len(label), dtype=torch.bool, device=label.device)
    none = torch.zeros(len(label), dtype=torch.bool, device=label.device)
    return none.index_fill(0, rows, True)
