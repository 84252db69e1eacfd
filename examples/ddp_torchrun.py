"""DistributedDataParallel under torchrun: several processes need nothing but the wrapped model.

Each objective's gradient is averaged over all processes before anything is decided on it, so that
two processes with half a batch each do what one does with the whole.

    torchrun --standalone --nproc_per_node 2 examples/ddp_torchrun.py --epochs 10
"""

import argparse

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, DistributedSampler, Subset, TensorDataset, random_split

import mmpareto as mp

BATCH_SIZE = 32  # over all processes


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
    dist.init_process_group(
        "gloo"
    )  # on GPUs "nccl", and the model and the batches on cuda:{LOCAL_RANK}
    torch.manual_seed(0)
    train, test = load()
    sampler = DistributedSampler(
        train, drop_last=True
    )  # a strided share of the same order on every rank
    loader = DataLoader(train, BATCH_SIZE // dist.get_world_size(), sampler=sampler, drop_last=True)
    model = Halves()
    ddp = nn.parallel.DistributedDataParallel(model)
    encoders = mp.Partition(model, upper=model.upper, lower=model.lower)
    method = mp.MMPareto(gamma=1.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    for epoch in range(1, epochs + 1):
        sampler.set_epoch(epoch)
        total, conflicts = torch.zeros(()), torch.zeros(())
        for upper, lower, label in loader:
            losses = {
                name: cross_entropy(logits, label) for name, logits in ddp(upper, lower).items()
            }
            optimizer.zero_grad()
            report = mp.backward(
                losses, encoders, method
            )  # the same on all ranks, and so is the report
            optimizer.step()
            total += losses["joint"].detach() / len(loader) / dist.get_world_size()
            conflicts += report["upper"].conflict | report["lower"].conflict
        dist.all_reduce(total)
        with torch.no_grad():
            upper, lower, label = test[:]
            accuracy = (model(upper, lower)["joint"].argmax(1) == label).float().mean()
        if dist.get_rank() == 0:
            print(
                f"epoch {epoch}: loss {total:.4f}, accuracy {accuracy:.3f}, conflicts "
                f"{conflicts:.0f}"
            )

    checksum = sum(parameter.double().abs().sum() for parameter in model.parameters())
    print(f"rank {dist.get_rank()}: checksum {checksum:.9f}", flush=True)
    dist.barrier()  # nobody closes connections that another still uses
    dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
