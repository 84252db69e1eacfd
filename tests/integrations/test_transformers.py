"""Transformers models as encoders, and the Hugging Face Trainer as the loop.

Nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    ASTConfig,
    ASTModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    ReformerConfig,
    ReformerModel,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTModel,
)

import mmpareto as mp
from distributed.launch import on_ranks
from distributed.steps import SIZE, Network, assert_same_on_all, full_batch, losses
from slow_step import apart, expected, received

TOLERANCE = 1e-10  # float64, times what conflicts cancel
SHAPE = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
CLASSES, SAMPLES, VOCABULARY = 3, 5, 11
METHODS = [mp.MMPareto(), mp.MMPareto(granularity="tensor"), mp.MGDA()]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def vit() -> nn.Module:
    return ViTModel(ViTConfig(image_size=4, patch_size=2, num_channels=1, **SHAPE))


def ast() -> nn.Module:
    spectrogram = {
        "num_mel_bins": 8,
        "max_length": 16,
        "patch_size": 8,
        "frequency_stride": 8,
        "time_stride": 8,
    }
    return ASTModel(ASTConfig(**spectrogram, **SHAPE))


def bert() -> nn.Module:
    return BertModel(BertConfig(vocab_size=VOCABULARY, **SHAPE))


INPUTS: dict[str, Callable[[], Tensor]] = {
    "image": lambda: torch.randn(SAMPLES, 1, 4, 4, dtype=torch.float64),
    "audio": lambda: torch.randn(SAMPLES, 16, 8, dtype=torch.float64),
    "text": lambda: torch.randint(VOCABULARY, (SAMPLES, 6)),
}


class Fusion(nn.Module):
    """Late fusion of transformers, with noise for labels: whether objectives agree is left to
    chance.
    """

    def __init__(self, **encoders: nn.Module) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.heads = nn.ModuleDict({name: nn.Linear(8, CLASSES) for name in encoders})
        self.joint = nn.Linear(8 * len(encoders), CLASSES)
        self.double()

    def losses(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = {
            name: encoder(inputs[name]).pooler_output for name, encoder in self.encoders.items()
        }
        logits = {"joint": self.joint(torch.cat(list(features.values()), 1))}
        logits |= {name: self.heads[name](feature) for name, feature in features.items()}
        label = torch.randint(CLASSES, (SAMPLES,))
        return {name: cross_entropy(scores, label) for name, scores in logits.items()}


class MaskedLanguage(Fusion):
    """The text's own loss is BERT's, whose output layer is its embedding."""

    def __init__(self) -> None:
        text = BertForMaskedLM(BertConfig(vocab_size=VOCABULARY, **SHAPE))
        super().__init__(image=vit(), text=text)
        assert text.cls.predictions.decoder.weight is text.bert.embeddings.word_embeddings.weight

    def losses(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        label, tokens = torch.randint(CLASSES, (SAMPLES,)), inputs["text"]
        image = self.encoders["image"](inputs["image"]).pooler_output
        masked = torch.rand(tokens.shape) < 0.3
        text = self.encoders["text"](
            tokens.masked_fill(masked, 0), output_hidden_states=True, labels=tokens
        )
        features = [image, text.hidden_states[-1][:, 0]]
        return {
            "joint": cross_entropy(self.joint(torch.cat(features, 1)), label),
            "image": cross_entropy(self.heads["image"](image), label),
            "text": text.loss,
        }


def partly_frozen() -> Fusion:
    model = Fusion(image=vit(), text=bert())
    model.encoders["image"].embeddings.requires_grad_(False)
    model.encoders["text"].encoder.layer[0].requires_grad_(False)
    return model


def one_frozen() -> Fusion:
    model = Fusion(image=vit(), text=bert())
    model.encoders["text"].requires_grad_(False)
    return model


def checkpointed() -> Fusion:
    model = Fusion(image=vit(), text=bert())
    for encoder in model.encoders.values():
        encoder.activation_checkpointing_enable()
    return model


MODELS: dict[str, Callable[[], Fusion]] = {
    "ViT and BERT": lambda: Fusion(image=vit(), text=bert()),
    "AST and BERT": lambda: Fusion(audio=ast(), text=bert()),
    "ViT, AST and BERT": lambda: Fusion(image=vit(), audio=ast(), text=bert()),
    "tied": MaskedLanguage,
    "partly frozen": partly_frozen,
    "one frozen": one_frozen,
    "checkpointed": checkpointed,
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_the_slow_step(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().train()  # dropout is part of the graph that both differentiate
    conflicts = set()
    for _ in range(6):
        losses = model.losses({name: INPUTS[name]() for name in model.encoders})
        for method in METHODS:
            want = expected(losses, model.parameters(), model.encoders, method)
            model.zero_grad()
            report = mp.backward(losses, model.encoders, method, retain_graph=True)
            assert (
                apart(received(model.parameters()), {p: want.get(p) for p in model.parameters()})
                <= TOLERANCE
            )
        conflicts |= {bool(encoder.conflict) for encoder in report.values()}
    assert conflicts == {True, False}


def test_a_trunk_that_modalities_share() -> None:
    torch.manual_seed(0)
    trunk = BertModel(BertConfig(vocab_size=VOCABULARY, **SHAPE))
    stems = nn.ModuleDict({name: nn.Linear(3, 8) for name in ("left", "right")})
    heads = nn.ModuleDict({name: nn.Linear(8, CLASSES) for name in ("joint", "left", "right")})
    model = nn.ModuleList([trunk, stems, heads]).double()
    encoders, conflicts = {"trunk": trunk, **stems}, []
    for _ in range(6):
        tokens = {
            name: stem(torch.randn(SAMPLES, 4, 3, dtype=torch.float64))
            for name, stem in stems.items()
        }
        tokens["joint"] = torch.cat(list(tokens.values()), 1)
        label = torch.randint(CLASSES, (SAMPLES,))
        features = {name: trunk(inputs_embeds=tokens[name]).pooler_output for name in heads}
        losses = {name: cross_entropy(head(features[name]), label) for name, head in heads.items()}
        want = expected(losses, model.parameters(), encoders, mp.MMPareto())
        model.zero_grad()
        report = mp.backward(losses, encoders, mp.MMPareto())
        assert apart(received(model.parameters()), want) <= TOLERANCE
        assert report["trunk"].objectives == ("joint", "left", "right")
        conflicts.append(bool(report["trunk"].conflict))
    assert set(conflicts) == {True, False}


def reformer() -> nn.Module:
    return ReformerModel(
        ReformerConfig(
            attention_head_size=4,
            num_attention_heads=2,
            hidden_size=8,
            feed_forward_size=16,
            attn_layers=["local", "local"],
            axial_pos_embds=False,
            vocab_size=VOCABULARY,
            max_position_embeddings=8,
            local_attn_chunk_length=4,
            is_decoder=False,
            hidden_dropout_prob=0.0,
            local_attention_probs_dropout_prob=0.0,
        )
    )


@pytest.mark.parametrize("method", [mp.MMPareto(), mp.Uniform()], ids=repr)
def test_a_reversible_text_encoder_is_refused(method: mp.Method) -> None:
    """Its backward pass runs autograd by itself, and writes ``.grad``: the plain sum, in effect."""
    torch.manual_seed(0)
    text, image = reformer().train(), nn.Linear(3, 16)
    heads = nn.ModuleDict({"joint": nn.Linear(32, 3), "text": nn.Linear(16, 3)})
    heads["image"] = nn.Linear(16, 3)
    model = nn.ModuleList([text, image, heads])
    features = {"text": text(torch.randint(VOCABULARY, (SAMPLES, 8))).last_hidden_state.mean(1)}
    features["image"] = image(torch.randn(SAMPLES, 3))
    features["joint"] = torch.cat([features["text"], features["image"]], 1)
    label = torch.randint(CLASSES, (SAMPLES,))
    losses = {name: cross_entropy(head(features[name]), label) for name, head in heads.items()}
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    partition = mp.Partition(model, text=text, image=image)
    with pytest.raises(mp.MMParetoError, match=r"wrote the `\.grad` of \d+ parameters itself"):
        mp.backward(losses, partition, method)
    assert all((parameter.grad == 7).all() for parameter in model.parameters())


# The Trainer.


@dataclass(frozen=True)
class Case:
    """What a user asks of the Trainer."""

    accumulate: int = 1
    clip: float = 0.0
    keywords: bool = False


CASES = {
    "plain": Case(),
    "clipped": Case(clip=0.05),
    "accumulated": Case(accumulate=2),
    "accumulated-clipped": Case(accumulate=3, clip=0.05),
    "keywords": Case(accumulate=2, keywords=True),
}
BATCHES = 6


class Keywords(Network):
    """A model whose forward pass takes anything, as most of Transformers do."""

    def forward(self, batch: Mapping[str, Tensor], **keywords: Any) -> dict[str, Tensor]:
        assert not keywords
        return super().forward(batch)


class BalancedTrainer(Trainer):
    balanced: mp.BalancedLoss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], *_: Any, **__: Any
    ) -> Tensor:
        label = inputs["labels"]
        return self.balanced(losses(model(inputs), label, list(range(len(label))), {}))


def rows() -> list[dict[str, Tensor]]:
    batches = [full_batch(step) for step in range(BATCHES)]
    return [
        {name: values[i] for name, values in batch.items()}
        for batch in batches
        for i in range(SIZE)
    ]


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def by_trainer(case: Case, folder: Path, processes: int = 1) -> dict[str, Tensor]:
    model = Keywords() if case.keywords else Network()
    optimizer = sgd(model)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=SIZE // processes,
        gradient_accumulation_steps=case.accumulate,
        max_grad_norm=case.clip,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        label_names=["labels"],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=False,
    )
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    trainer = BalancedTrainer(
        model, arguments, train_dataset=rows(), optimizers=(optimizer, constant)
    )
    trainer.balanced = mp.BalancedLoss(mp.Partition(model, **model.encoders), mp.MMPareto())
    if case.keywords:
        # Else it takes the losses for sums that the model divides by the number of items in all
        # accumulated batches.
        assert trainer.model_accepts_loss_kwargs
        trainer.model_accepts_loss_kwargs = False
    assert arguments.world_size == processes
    trainer.train()
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def by_hand(case: Case) -> tuple[dict[str, Tensor], int]:
    model, conflicts = Network(), 0
    optimizer, encoders = sgd(model), mp.Partition(model, **model.encoders)
    for step in range(BATCHES):
        batch = full_batch(step)
        objectives = losses(model(batch), batch["label"], list(range(SIZE)), {})
        report = mp.backward(
            {k: loss / case.accumulate for k, loss in objectives.items()}, encoders, mp.MMPareto()
        )
        conflicts += sum(int(encoder.conflict) for encoder in report.values())
        if (step + 1) % case.accumulate == 0:
            if case.clip:
                nn.utils.clip_grad_norm_(model.parameters(), case.clip)
            optimizer.step()
            optimizer.zero_grad()
    return {name: parameter.detach() for name, parameter in model.named_parameters()}, conflicts


@pytest.mark.parametrize("name", CASES)
def test_trainer_equals_a_plain_loop(name: str, tmp_path: Path) -> None:
    want, conflicts = by_hand(CASES[name])
    assert conflicts
    got, before = by_trainer(CASES[name], tmp_path), dict(Network().named_parameters())
    for parameter, value in want.items():
        assert not torch.equal(value, before[parameter]), parameter
        torch.testing.assert_close(got[parameter], value, rtol=1e-6, atol=1e-7)


def trainer_on_rank(rank: int, name: str, folder: Path) -> dict[str, Any]:
    # As torchrun sets them; the processes know each other already.
    ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= ranks | {
        "MASTER_ADDR": "localhost",
        "ACCELERATE_USE_CPU": "true",
        "HF_HUB_OFFLINE": "1",
    }
    return {"parameters": by_trainer(CASES[name], folder, processes=2)}


@pytest.mark.distributed
@pytest.mark.parametrize("name", ["plain", "accumulated-clipped"])
def test_trainer_on_two_processes_equals_a_plain_loop(name: str, tmp_path: Path) -> None:
    results = on_ranks(tmp_path, trainer_on_rank, name, tmp_path / "trainer")
    assert_same_on_all(results)
    for parameter, value in by_hand(CASES[name])[0].items():
        torch.testing.assert_close(results[0]["parameters"][parameter], value, rtol=1e-6, atol=1e-6)
