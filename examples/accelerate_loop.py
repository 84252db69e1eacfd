"""Hugging Face Accelerate with gradient accumulation: `accelerator.backward` of a `BalancedLoss`.

What Accelerate does to the loss (a share of the accumulated batches, a loss scaler's factor)
reaches every objective. Each micro-batch is balanced by itself; `mp.Accumulation` decides once on
all of them.

    python examples/accelerate_loop.py --epochs 10
    accelerate launch --cpu --num_processes 2 examples/accelerate_loop.py --epochs 10
"""

import argparse

import torch
from accelerate import Accelerator
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
    accelerator = Accelerator(gradient_accumulation_steps=2)
    train, test = (DataLoader(part, batch_size=16, shuffle=True) for part in load())
    model = Halves()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    model, optimizer, train, test = accelerator.prepare(model, optimizer, train, test)
    halves = accelerator.unwrap_model(model)
    encoders = mp.Partition(
        halves, upper=halves.upper, lower=halves.lower
    )  # after prepare, which may shard the model
    balanced = mp.BalancedLoss(encoders, mp.MMPareto(gamma=1.5))

    for epoch in range(1, epochs + 1):
        total, conflicts = (
            torch.zeros((), device=accelerator.device),
            torch.zeros((), device=accelerator.device),
        )
        for upper, lower, label in train:
            with accelerator.accumulate(model):
                losses = {
                    name: cross_entropy(logits, label)
                    for name, logits in model(upper, lower).items()
                }
                accelerator.backward(balanced(losses))
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                optimizer.zero_grad()
            total += losses["joint"].detach() / len(train)
            conflicts += balanced.report["upper"].conflict | balanced.report["lower"].conflict
        hits = []
        for upper, lower, label in test:
            with torch.no_grad():
                hits.append(
                    accelerator.gather_for_metrics(model(upper, lower)["joint"].argmax(1) == label)
                )
        loss, accuracy = accelerator.reduce(total, "mean"), torch.cat(hits).float().mean()
        accelerator.print(
            f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.3f}, conflicts {conflicts:.0f}"
        )
    accelerator.wait_for_everyone()  # nobody closes connections that another still uses
    accelerator.end_training()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
