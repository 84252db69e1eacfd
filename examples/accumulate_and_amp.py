"""Mixed precision, and one decision on several micro-batches.

`mp.Accumulation` adds up each objective's gradients and balances them once per step, as one large
batch would. Lower precision is autocast's business; with float16 a loss scaler stands around it as
usual.

    python examples/accumulate_and_amp.py --epochs 10 --precision bf16
    python examples/accumulate_and_amp.py --epochs 10 --precision fp16
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

import mmpareto as mp

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MICRO_BATCHES = 4


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


def main(epochs: int, precision: str) -> None:
    torch.manual_seed(0)
    train, test = load()
    model = Halves().to(DEVICE)
    accumulation = mp.Accumulation(
        mp.Partition(model, upper=model.upper, lower=model.lower), mp.MMPareto(gamma=1.5)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scaler = torch.amp.GradScaler(DEVICE, enabled=precision == "fp16")
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16

    for epoch in range(1, epochs + 1):
        total, conflicts = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE)
        for batch in DataLoader(train, batch_size=64, shuffle=True, drop_last=True):
            for upper, lower, label in zip(
                *(part.to(DEVICE).chunk(MICRO_BATCHES) for part in batch), strict=True
            ):
                with torch.autocast(DEVICE, dtype):
                    losses = {
                        name: cross_entropy(logits, label)
                        for name, logits in model(upper, lower).items()
                    }
                accumulation.add(
                    {name: scaler.scale(loss) / MICRO_BATCHES for name, loss in losses.items()}
                )
                total += losses["joint"].detach() / MICRO_BATCHES
            optimizer.zero_grad()
            report = accumulation.backward()  # one decision on the whole batch
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
            scaler.step(optimizer)
            scaler.update()
            conflicts += report["upper"].conflict | report["lower"].conflict
        mean = total / (len(train) // 64)
        with torch.no_grad():
            upper, lower, label = (part.to(DEVICE) for part in test[:])
            accuracy = (model(upper, lower)["joint"].argmax(1) == label).float().mean()
        print(f"epoch {epoch}: loss {mean:.4f}, accuracy {accuracy:.3f}, conflicts {conflicts:.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--precision", choices=["bf16", "fp16"], default="bf16")
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.precision)
