"""Which models are timed.

Encoders of one case all have the same size, so that the whole grows with their number.
"""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.models import Case, mlp, resnet18, small_cnn, transformer


def _mlps(encoders: int, batch_size: int = 64) -> Case:
    return Case(
        f"{encoders} MLPs (256-512-512-128), batch {batch_size}",
        mlp,
        {f"m{i}": (256,) for i in range(encoders)},
        batch_size,
    )


def _cnns(batch_size: int = 64) -> Case:
    shapes = {"gray": (1, 28, 28), "colour": (3, 28, 28)}
    return Case(f"2 small CNNs, batch {batch_size}, 28 px", small_cnn, shapes, batch_size)


def _resnets(batch_size: int, side: int, dtype: torch.dtype = torch.float32) -> Case:
    shapes = {"audio": (1, 1, side, side), "visual": (2, 3, side, side)}
    kind = ", bf16" if dtype == torch.bfloat16 else ""
    name = f"2 ResNet-18, batch {batch_size}, {side} px, 2 frames{kind}"
    return Case(name, resnet18, shapes, batch_size, dtype)


def _transformers(batch_size: int, side: int = 112, dtype: torch.dtype = torch.float32) -> Case:
    shapes = {"audio": (1, side, side), "visual": (3, side, side)}
    kind = ", bf16" if dtype == torch.bfloat16 else ""
    tokens = (side // 16) ** 2
    name = f"2 transformers (6 x 192), batch {batch_size}, {tokens} tokens{kind}"
    return Case(name, transformer, shapes, batch_size, dtype)


FULL = {
    "mlp-2": _mlps(2),
    "mlp-4": _mlps(4),
    "mlp-8": _mlps(8),
    "mlp-16": _mlps(16),
    "cnn": _cnns(),
    "transformer": _transformers(8),
    "resnet-8x112": _resnets(8, 112),
    "resnet-16x128": _resnets(16, 128),
}
QUICK = {
    "mlp-2": _mlps(2),
    "cnn": _cnns(),
    "resnet-reduced": _resnets(4, 64),
}
ON_GPU = {
    "mlp-2": _mlps(2),
    "mlp-16": _mlps(16),
    "cnn": _cnns(),
    "transformer-64x224": _transformers(64, 224),
    "transformer-64x224-bf16": _transformers(64, 224, torch.bfloat16),
    "resnet-64x224": _resnets(64, 224),
    "resnet-64x224-bf16": _resnets(64, 224, torch.bfloat16),
}
_AUDIOVISUAL = {"audio": (1, 16, 16), "visual": (3, 16, 16)}
TINY = {  # for tests
    "tiny-mlp": Case(
        "3 tiny MLPs", partial(mlp, hidden=8, width=4), {f"m{i}": (5,) for i in range(3)}, 4
    ),
    "tiny-cnn": Case("2 tiny CNNs", partial(small_cnn, width=2), _AUDIOVISUAL, 4),
    "tiny-resnet": Case(
        "2 tiny ResNets",
        partial(resnet18, narrowing=16),
        {"audio": (1, 1, 32, 32), "visual": (2, 3, 32, 32)},
        4,
    ),
    "tiny-transformer": Case(
        "2 tiny transformers", partial(transformer, width=12, layers=2, patch=8), _AUDIOVISUAL, 4
    ),
}
CASES = FULL | QUICK | ON_GPU | TINY
