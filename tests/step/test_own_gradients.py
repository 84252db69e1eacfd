"""What a shared pass writes belongs to each parameter alone; what it combines may be any tensor."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import mmpareto as mp

LABEL = torch.tensor([0, 1, 2, 0, 1])


class Shifted(nn.Module):
    """Two parameters whose gradients autograd hands out as one buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(5, 4))
        self.top, self.joint, self.own = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 3)

    def losses(self) -> dict[str, Tensor]:
        feature = self.top(self.one + self.two)
        return {
            "joint": cross_entropy(self.joint(feature), LABEL),
            "audio": cross_entropy(self.own(feature), LABEL),
        }


@pytest.mark.parametrize("probe", [False, True])
def test_no_two_parameters_share_a_gradient(probe: bool) -> None:
    model = Shifted()
    encoder = [model.one, model.two, *model.top.parameters()]
    partition = mp.Partition(model, audio=encoder)
    geometry = mp.Geometry(every=2, probe={"audio": model.top} if probe else None)
    for _ in range(2):
        model.zero_grad()
        mp.backward(model.losses(), partition, mp.MMPareto(), geometry=geometry)
    once = model.one.grad.clone()
    places = {parameter.grad.untyped_storage().data_ptr() for parameter in model.parameters()}
    assert len(places) == len(list(model.parameters()))
    geometry = mp.Geometry(probe={"audio": model.top})
    model.zero_grad()
    for _ in range(2):  # added to each once
        mp.backward(model.losses(), partition, mp.Uniform(), geometry=geometry)
    want = 2 * torch.autograd.grad(sum(model.losses().values()), model.one)[0]
    torch.testing.assert_close(model.one.grad, want)
    torch.testing.assert_close(model.two.grad, want)
    assert once.any()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_values_at_a_cut_may_be_nested() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4))
    joint, own = nn.Linear(4, 3), nn.Linear(4, 3)
    model = nn.ModuleList([encoder, joint, own])
    partition, inputs = mp.Partition(model, audio=encoder), torch.randn(5, 3)

    def losses() -> dict[str, Tensor]:
        nested = torch.nested.nested_tensor([inputs[:2], inputs[2:]], layout=torch.jagged)
        feature = encoder(nested)
        return {
            "joint": cross_entropy(joint((feature * 2).values()), LABEL),
            "audio": cross_entropy(own(feature.sin().values()), LABEL),
        }

    geometry = mp.Geometry(probe={"audio": encoder[2]})
    report = mp.backward(losses(), partition, mp.MMPareto(), geometry=geometry)
    weights, terms = report["audio"].weights, losses()
    total = weights["joint"] * terms["joint"] + weights["audio"] * terms["audio"]
    want = torch.autograd.grad(total, list(encoder.parameters()))
    for parameter, gradient in zip(encoder.parameters(), want, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
