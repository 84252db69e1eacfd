"""LoRA adapters of PEFT: they alone are balanced, on encoders of their own or on a trunk that
modalities share.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

import mmpareto as mp
from slow_step import apart, expected, gradient, received

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated"
)  # PEFT 0.21

TOLERANCE = 1e-10  # float64, times what conflicts cancel
SHAPE = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
CLASSES, SAMPLES = 3, 5
METHODS = [mp.MMPareto(), mp.MMPareto(granularity="tensor"), mp.MGDA()]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def lora(model: nn.Module, *targets: str) -> nn.Module:
    # Of the usual start half is zero, which would make half of the gradients zero.
    return get_peft_model(
        model, LoraConfig(r=2, target_modules=list(targets), init_lora_weights=False)
    )


def trainable(module: nn.Module) -> list[Tensor]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


class TwoEncoders(nn.Module):
    """Late fusion of two transformers, each with adapters; noise for labels."""

    def __init__(self) -> None:
        super().__init__()
        vit = ViTModel(ViTConfig(image_size=4, patch_size=2, num_channels=1, **SHAPE))
        self.image = lora(vit, "q_proj", "v_proj")
        self.text = lora(BertModel(BertConfig(vocab_size=11, **SHAPE)), "query", "value")
        widths = {"joint": 16, "image": 8, "text": 8}
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, CLASSES) for name, width in widths.items()}
        )
        self.double()

    @property
    def adapters(self) -> dict[str, list[Tensor]]:
        return {"image": trainable(self.image), "text": trainable(self.text)}

    def losses(self) -> dict[str, Tensor]:
        image = self.image(torch.randn(SAMPLES, 1, 4, 4, dtype=torch.float64)).pooler_output
        text = self.text(torch.randint(11, (SAMPLES, 6))).pooler_output
        return judged(
            self.heads, {"joint": torch.cat([image, text], 1), "image": image, "text": text}
        )


class SharedTrunk(nn.Module):
    """One transformer with adapters that reads either modality, or both."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = lora(BertModel(BertConfig(vocab_size=11, **SHAPE)), "query", "value")
        self.stems = nn.ModuleDict({name: nn.Linear(3, 8) for name in ("image", "text")})
        head = nn.Linear(8, CLASSES)  # equal at first, or all three hardly ever agree
        self.heads = nn.ModuleDict(
            {name: copy.deepcopy(head) for name in ("joint", "image", "text")}
        )
        self.double()

    @property
    def adapters(self) -> dict[str, list[Tensor]]:
        return {"trunk": trainable(self.trunk)}

    def losses(self) -> dict[str, Tensor]:
        tokens = {
            name: stem(torch.randn(SAMPLES, 4, 3, dtype=torch.float64))
            for name, stem in self.stems.items()
        }
        tokens["joint"] = torch.cat(list(tokens.values()), 1)
        features = {name: self.trunk(inputs_embeds=x).pooler_output for name, x in tokens.items()}
        return judged(self.heads, features)


def judged(heads: nn.ModuleDict, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    label = torch.randint(CLASSES, (SAMPLES,))
    return {name: cross_entropy(head(features[name]), label) for name, head in heads.items()}


both = pytest.mark.parametrize("make", [TwoEncoders, SharedTrunk])
Make = Callable[[], TwoEncoders | SharedTrunk]


@both
def test_gradients_are_those_of_the_slow_step(make: Make) -> None:
    torch.manual_seed(0)
    model, conflicts = make(), set()
    for _ in range(12):
        losses = model.losses()
        for method in METHODS:
            want = expected(losses, model.parameters(), model.adapters, method)
            model.zero_grad()
            report = mp.backward(
                losses, mp.Partition(model, **model.adapters), method, retain_graph=True
            )
            assert (
                apart(received(model.parameters()), {p: want.get(p) for p in model.parameters()})
                <= TOLERANCE
            )
        conflicts |= {bool(encoder.conflict) for encoder in report.values()}
    assert conflicts == {True, False}


@both
def test_geometry_is_that_of_the_adapters(make: Make) -> None:
    torch.manual_seed(0)
    model = make()
    losses = model.losses()
    rows = {
        encoder: torch.stack(
            [
                torch.cat(
                    [
                        torch.zeros(p.numel()) if g is None else g.flatten()
                        for p, g in gradient(loss, ps).items()
                    ]
                )
                for name, loss in losses.items()
                if encoder in ("trunk", name) or name == "joint"
            ]
        )
        for encoder, ps in model.adapters.items()
    }
    report = mp.backward(losses, model.adapters, mp.MMPareto())
    for encoder, vectors in rows.items():
        torch.testing.assert_close(report[encoder].gramian, vectors @ vectors.T)
        assert len(report[encoder].objectives) == len(vectors)


@both
def test_modules_serve_as_well_as_their_adapters(make: Make) -> None:
    """What is frozen inside an encoder is skipped."""
    torch.manual_seed(0)
    model = make()
    losses, gradients = model.losses(), []
    for encoders in (model.adapters, {name: getattr(model, name) for name in model.adapters}):
        model.zero_grad()
        mp.backward(losses, encoders, mp.MMPareto(), retain_graph=True)
        gradients.append(
            {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        )
    first, second = gradients
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@both
def test_the_base_is_untouched(make: Make) -> None:
    torch.manual_seed(0)
    model = make()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(trainable(model), lr=0.1)
    mp.backward(model.losses(), mp.Partition(model, **model.adapters), mp.MMPareto())
    optimizer.step()
    moved = {
        name
        for name, parameter in model.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert moved == {
        name for name in before if "lora_" in name or name.startswith(("heads", "stems"))
    }
    assert {
        name for name, parameter in model.named_parameters() if parameter.grad is not None
    } == moved
