"""A LightningModule with automatic optimization: `training_step` returns a `BalancedLoss`.

Accumulation, gradient clipping, precision and DDP stay the Trainer's business.

    python examples/lightning_module.py --epochs 10
"""

import argparse

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

import mmpareto as mp


class Halves(lightning.LightningModule):
    """An encoder and a head per modality, and a joint head on both features."""

    def __init__(self) -> None:
        super().__init__()
        self.upper = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.lower = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.heads = nn.ModuleDict(
            {"joint": nn.Linear(64, 10), "upper": nn.Linear(32, 10), "lower": nn.Linear(32, 10)}
        )
        encoders = mp.Partition(self, upper=self.upper, lower=self.lower)
        self.balanced = mp.BalancedLoss(encoders, mp.MMPareto(gamma=1.5))

    def forward(self, upper: Tensor, lower: Tensor) -> dict[str, Tensor]:
        """Logits by objective."""
        features = {"upper": self.upper(upper), "lower": self.lower(lower)}
        features["joint"] = torch.cat([features["upper"], features["lower"]], dim=1)
        return {name: head(features[name]) for name, head in self.heads.items()}

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        upper, lower, label = batch
        losses = {name: cross_entropy(logits, label) for name, logits in self(upper, lower).items()}
        self.log("loss", losses["joint"], on_step=False, on_epoch=True)
        return self.balanced(losses)  # its backward is mp.backward

    def on_train_batch_end(self, outputs: object, batch: list[Tensor], batch_idx: int) -> None:
        self.log_dict(self.balanced.report.scalars(), on_step=False, on_epoch=True)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        upper, lower, label = batch
        accuracy = (self(upper, lower)["joint"].argmax(1) == label).float().mean()
        self.log("accuracy", accuracy, batch_size=len(label))

    def on_train_epoch_end(self) -> None:
        seen = self.trainer.callback_metrics
        loss, accuracy, conflicts = seen["loss"], seen["accuracy"], seen["conflict/upper"]
        print(
            f"epoch {self.current_epoch + 1}: loss {loss:.4f}, accuracy {accuracy:.3f}, conflicts "
            f"in {conflicts:.1%}"
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def load() -> list[Subset]:
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    upper, lower = (images.float() / 16).chunk(2, dim=1)
    return random_split(
        TensorDataset(upper, lower, labels), [0.8, 0.2], torch.Generator().manual_seed(0)
    )


def main(epochs: int) -> None:
    lightning.seed_everything(0, verbose=False)
    train, test = load()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        gradient_clip_val=5.0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Halves(), DataLoader(train, 32, shuffle=True), DataLoader(test, 512))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
