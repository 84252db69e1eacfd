"""Multi-label targets, many of them unknown (NaN): losses over the known entries.

A batch may have none that is known. The modalities are the two halves of a digit, the labels four
of its properties. Two in five entries are unknown, and batches come site by site: one site has
recorded nothing.

    python examples/multi_label_nan.py --epochs 15
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

import mmpareto as mp

PROPERTIES = {
    "even": {0, 2, 4, 6, 8},
    "prime": {2, 3, 5, 7},
    "loop": {0, 6, 8, 9},
    "large": {5, 6, 7, 8, 9},
}


class Halves(nn.Module):
    """An encoder and a head per modality, and a joint head on both features."""

    def __init__(self) -> None:
        super().__init__()
        self.upper = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.lower = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.heads = nn.ModuleDict(
            {"joint": nn.Linear(64, 4), "upper": nn.Linear(32, 4), "lower": nn.Linear(32, 4)}
        )

    def forward(self, upper: Tensor, lower: Tensor) -> dict[str, Tensor]:
        """Logits [N, 4] by objective."""
        features = {"upper": self.upper(upper), "lower": self.lower(lower)}
        features["joint"] = torch.cat([features["upper"], features["lower"]], dim=1)
        return {name: head(features[name]) for name, head in self.heads.items()}


def known_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the entries that are known; zero, with a zero gradient, where none is."""
    known = ~target.isnan()
    # NaN is replaced before the loss, not masked after it: 0 * NaN is NaN, in the gradient too.
    each = binary_cross_entropy_with_logits(logits, target.nan_to_num(), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def load() -> tuple[TensorDataset, TensorDataset]:
    images, digits = load_digits(return_X_y=True)
    upper, lower = (torch.tensor(images).float() / 16).chunk(2, dim=1)
    properties = torch.zeros(len(digits), len(PROPERTIES))
    for column, members in enumerate(PROPERTIES.values()):
        properties[:, column] = torch.isin(torch.tensor(digits), torch.tensor(sorted(members)))
    targets = properties.masked_fill(torch.rand(properties.shape) < 0.4, torch.nan)
    targets[:32] = torch.nan  # the site of the first batch
    train = TensorDataset(upper[:1440], lower[:1440], targets[:1440])
    return train, TensorDataset(upper[1440:], lower[1440:], properties[1440:])


def main(epochs: int) -> None:
    torch.manual_seed(0)
    train, test = load()
    model = Halves()
    encoders = mp.Partition(model, upper=model.upper, lower=model.lower)
    method = mp.MMPareto(gamma=1.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    for epoch in range(1, epochs + 1):
        total = torch.zeros(())
        loader = DataLoader(train, batch_size=32)
        for upper, lower, target in loader:
            losses = {
                name: known_loss(logits, target) for name, logits in model(upper, lower).items()
            }
            optimizer.zero_grad()
            mp.backward(losses, encoders, method)
            optimizer.step()
            total += losses["joint"].detach()
        with torch.no_grad():
            upper, lower, target = test.tensors
            accuracy = ((model(upper, lower)["joint"] > 0) == target.bool()).float().mean()
        print(f"epoch {epoch}: loss {total / len(loader):.4f}, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
