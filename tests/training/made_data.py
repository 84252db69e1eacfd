"""A data set made up for tests: three kinds of targets, three types of modalities, samples that
lack some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmpareto.data import Batch, DatasetRecipe, EpochIndices, MultimodalDataset, Splits
from mmpareto.specs import Classes, Labels, Number, Shape, Target, Text

SHAPES: dict[str, Shape] = {"image": (1, 6, 6), "table": (3,), "text": Text(5, 12)}
NAMES = ("a", "b", "c")


@dataclass(frozen=True, eq=False)
class MadeDataset(MultimodalDataset):
    """Samples `start` to `stop` of a list without end.

    Args:
        kind: Of the target.
        start: The first.
        stop: Behind the last.
        rare: Of how many samples one has a text; of three, two have an image and two a table.
    """

    kind: str
    start: int
    stop: int
    rare: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: Any) -> Batch:
        samples = [self.sample(i, index) for i in index]
        batch: Batch = {"inputs": {}, "label": torch.stack([label for _, label in samples])}
        batch |= {"id": [f"s{self.start + i}" for i in index], "rows": {}}
        for name, shape in SHAPES.items():
            rows = [row for row, (inputs, _) in enumerate(samples) if name in inputs]
            if rows:
                size = (shape.length,) if isinstance(shape, Text) else shape
                like = samples[rows[0]][0][name]
                batch["inputs"][name] = like.new_zeros(len(samples), *size)
                batch["inputs"][name][rows] = torch.stack([samples[row][0][name] for row in rows])
            if 0 < len(rows) < len(samples):
                batch["rows"][name] = torch.tensor(rows)
        return batch

    def sample(self, index: int, draw: Sequence[int] = ()) -> tuple[dict[str, Tensor], Tensor]:
        """Inputs and label of one sample; a draw of the training adds noise."""
        number = self.start + index
        generator = torch.Generator().manual_seed(number)
        hidden = torch.randn(3, generator=generator)
        inputs = {
            "image": hidden[0] + torch.randn(1, 6, 6, generator=generator),
            "table": hidden + 0.5 * torch.randn(3, generator=generator),
            "text": (6 + 2 * torch.randn(5, generator=generator) + hidden[1]).long().clamp(0, 11),
        }
        if isinstance(draw, EpochIndices):
            noise = torch.Generator().manual_seed(draw.seed * 10**6 + draw.epoch * 10**4 + number)
            inputs["table"] = inputs["table"] + 0.1 * torch.randn(3, generator=noise)
        absent = {
            "image": number % 3 == 0,
            "table": number % 3 == 1,
            "text": number % self.rare != 0,
        }
        label = {
            "classes": hidden.argmax(),
            "labels": (hidden > 0.3).float(),
            "number": 40 + 10 * hidden[1],
        }
        return {name: x for name, x in inputs.items() if not absent[name]}, label[self.kind]


@dataclass(frozen=True)
class Made(DatasetRecipe):
    """Made-up samples.

    Args:
        kind: Of the target: classes, labels or number.
        rare: Of how many samples one has a text.
    """

    name = "made"
    citation = "None."

    kind: str = "classes"
    rare: int = 2

    @property
    def shapes(self) -> dict[str, Shape]:
        return SHAPES

    @property
    def target(self) -> Target:
        return {
            "classes": Classes(NAMES),
            "labels": Labels(NAMES),
            "number": Number("age", 40.0, 10.0),
        }[self.kind]

    def load(self) -> Splits:
        return Splits(
            *(MadeDataset(self.kind, a, b, self.rare) for a, b in ((0, 96), (96, 140), (140, 200)))
        )
