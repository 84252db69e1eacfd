"""Three modalities, any of which may be missing: in a whole batch, or for single samples.

A modality that nobody in the batch has is left out of the losses; nothing else is to be done. Where
some samples lack it, their feature is zero in the joint head's input, and the modality's loss is
taken over the others.

The modalities are three bands of rows of a handwritten digit; each sample lacks each of them with
probability 0.3, and one batch in four has no bottom band at all.

    python examples/three_modalities_missing.py --epochs 15
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset, random_split

import mmpareto as mp

PIXELS = {"top": 24, "middle": 16, "bottom": 24}


class Bands(nn.Module):
    """An encoder and a head per modality, and a joint head on all features."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(n, 64), nn.ReLU()) for name, n in PIXELS.items()}
        )
        self.heads = nn.ModuleDict({name: nn.Linear(64, 10) for name in PIXELS})
        self.joint = nn.Linear(64 * len(PIXELS), 10)

    def forward(self, image: Tensor, present: Tensor) -> dict[str, Tensor]:
        """Logits by objective; column i of `present` [N, 3] tells which samples have modality i."""
        logits, features = {}, []
        for name, pixels, has in zip(
            PIXELS, image.split(list(PIXELS.values()), dim=1), present.unbind(1), strict=True
        ):
            if has.any():  # a mask that the data loader made on the host: this waits for no device
                feature = self.encoders[name](pixels) * has[:, None]
                logits[name] = self.heads[name](feature)
            else:
                feature = image.new_zeros(len(image), 64)
            features.append(feature)
        return {"joint": self.joint(torch.cat(features, dim=1)), **logits}


def objectives(logits: dict[str, Tensor], present: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Losses over those who have the modality, per sample of the batch.

    So a rare modality weighs less.
    """
    masks = {"joint": torch.ones(len(label)), **dict(zip(PIXELS, present.unbind(1), strict=True))}
    each = {name: cross_entropy(scores, label, reduction="none") for name, scores in logits.items()}
    return {name: (loss * masks[name]).mean() for name, loss in each.items()}


def main(epochs: int) -> None:
    torch.manual_seed(0)
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    digits = TensorDataset(images.float() / 16, torch.rand(len(labels), len(PIXELS)) > 0.3, labels)
    train, test = random_split(digits, [0.8, 0.2])
    model = Bands()
    encoders = mp.Partition(model, **model.encoders)
    method = mp.MMPareto(gamma=1.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    for epoch in range(1, epochs + 1):
        total, absent = 0.0, 0
        for step, (image, present, label) in enumerate(
            DataLoader(train, batch_size=32, shuffle=True)
        ):
            if step % 4 == 0:
                present[:, 2] = False
            losses = objectives(model(image, present), present, label)
            optimizer.zero_grad()
            report = mp.backward(losses, encoders, method)
            optimizer.step()
            total += losses["joint"].item() * len(label)
            absent += "bottom" not in report
        image, present, label = test[:]
        with torch.no_grad():
            accuracy = (model(image, present)["joint"].argmax(1) == label).float().mean()
        print(
            f"epoch {epoch}: loss {total / len(train):.4f}, accuracy {accuracy:.3f}, steps without "
            f"bottom {absent}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
