"""A plain PyTorch loop: a learning rate per encoder, gradient clipping, and what the steps tell.

The two modalities are the upper and the lower half of a handwritten digit.

    python examples/plain_loop.py --epochs 10
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

import mmpareto as mp


class Halves(nn.Module):
    """An encoder and a head per modality, and a joint head on both features."""

    def __init__(self) -> None:
        super().__init__()
        self.upper = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.lower = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.heads = nn.ModuleDict(
            {"joint": nn.Linear(64, 10), "upper": nn.Linear(32, 10), "lower": nn.Linear(32, 10)}
        )

    def forward(self, upper: Tensor, lower: Tensor) -> dict[str, Tensor]:
        """Logits by objective."""
        features = {"upper": self.upper(upper), "lower": self.lower(lower)}
        features["joint"] = torch.cat([features["upper"], features["lower"]], dim=1)
        return {name: head(features[name]) for name, head in self.heads.items()}


def load() -> list[Subset]:
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    upper, lower = (images.float() / 16).chunk(2, dim=1)
    return random_split(
        TensorDataset(upper, lower, labels), [0.8, 0.2], torch.Generator().manual_seed(0)
    )


def main(epochs: int) -> None:
    torch.manual_seed(0)
    train, test = load()
    model = Halves()
    encoders = mp.Partition(model, upper=model.upper, lower=model.lower)
    method = mp.MMPareto(gamma=1.5)
    optimizer = torch.optim.SGD(
        [
            {"params": encoders["upper"], "lr": 0.05},
            {"params": encoders["lower"], "lr": 0.1},
            {"params": encoders.rest, "lr": 0.05},
        ],
        momentum=0.9,
    )

    for epoch in range(1, epochs + 1):
        total, conflicts = torch.zeros(()), torch.zeros(())
        for upper, lower, label in DataLoader(train, batch_size=32, shuffle=True):
            losses = {
                name: cross_entropy(logits, label) for name, logits in model(upper, lower).items()
            }
            optimizer.zero_grad()
            report = mp.backward(losses, encoders, method)  # instead of loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
            optimizer.step()
            total += losses["joint"].detach() * len(label)
            conflicts += (
                report["upper"].conflict | report["lower"].conflict
            )  # a tensor: nothing waits for the device
        with torch.no_grad():
            upper, lower, label = test[:]
            accuracy = (model(upper, lower)["joint"].argmax(1) == label).float().mean()
        print(
            f"epoch {epoch}: loss {total / len(train):.4f}, accuracy {accuracy:.3f}, conflicts "
            f"{conflicts:.0f}"
        )

    for name, value in report.scalars().items():  # the last step, as a logger takes it
        print(f"{name} {value:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
