"""What `mmpareto train` adds to each step of a bare loop that makes the same steps.

python -m benchmarks.overhead [--data cg-mnist|cg-digits] [--mnist FILE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.utils.data import DataLoader

import mmpareto as mp
from benchmarks.report import RESULTS, heading, markdown, write
from mmpareto import recipes
from mmpareto.data import Batch, MultimodalDataset, Splits
from mmpareto.training import RunConfig
from mmpareto.training._device import on_device
from mmpareto.training._evaluation import predict
from mmpareto.training._loading import training_loader
from mmpareto.training._predictions import objectives
from mmpareto.training._switches import threads

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
NOTES = (
    "Both make the same steps with MMPareto on the same batches, from the same weights, with the "
    "library's model and batches, and measure the accuracy on the validation part after every "
    "epoch; they take turns with every step. `mmpareto train` adds Lightning, means of the losses, "
    "the geometry of every step, checkpoints and two logs. The times are those of all epochs, "
    "without loading and building.",
    "",
)


class BareLoop:
    """The loop that one would write by hand. It makes a step whenever it is asked to.

    Attributes:
        steps: How many it has made.
        seconds: That these and the validations have taken.
        accuracy: On the validation part, after the best of the epochs that have ended.
    """

    def __init__(self, config: RunConfig) -> None:
        self.steps, self.seconds, self.accuracy = 0, 0.0, 0.0
        self._progress = self._train(config, config.data.load())
        next(self._progress)

    def step(self) -> None:
        """One more step; validation, if it was the last of its epoch."""
        start = time.perf_counter()
        next(self._progress)
        self.seconds += time.perf_counter() - start
        self.steps += 1

    def _train(self, config: RunConfig, splits: Splits) -> Iterator[None]:
        torch.manual_seed(config.seed)
        model = config.model.build(config.shapes, config.data.target.outputs)
        encoders = mp.Partition(model, **model.encoders)
        sgd = config.optimizer
        optimizer = torch.optim.SGD(
            model.parameters(), sgd.lr, sgd.momentum, weight_decay=sgd.weight_decay
        )
        loader = training_loader(splits.train, config)
        for epoch in range(config.epochs):
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                yield
                model.train()
                moved = on_device(batch, config.data.target, torch.device("cpu"))
                losses = objectives(config.data.target, model, moved)
                optimizer.zero_grad()
                mp.backward(losses, encoders, config.method)
                optimizer.step()
            scores = predict(model, splits.val, config).scores(config.data.target)
            self.accuracy = max(self.accuracy, scores["joint_accuracy"])
        yield


class Preceded(MultimodalDataset):
    """A data set that does something else whenever it is asked for a batch.

    Args:
        dataset: What is asked for.
        before: What is done first.
    """

    def __init__(self, dataset: MultimodalDataset, before: Callable[[], None]) -> None:
        self.dataset, self.before = dataset, before

    def __getitem__(self, index: Any) -> Batch:
        return self.dataset[index]

    def pending(self, indices: Sequence[int]) -> Batch:
        """The batch of the other data set."""
        self.before()
        return self.dataset.pending(indices)

    def __len__(self) -> int:
        return len(self.dataset)


def measure(config: RunConfig) -> dict[str, Any]:
    """Milliseconds per step of both, and the best accuracy of each on the validation part."""
    from mmpareto.training import run

    def loader(dataset: MultimodalDataset, *arguments: Any, **settings: Any) -> DataLoader[Batch]:
        return training_loader(Preceded(dataset, bare.step), *arguments, **settings)

    with threads(config.threads), tempfile.TemporaryDirectory() as folder:
        bare = BareLoop(config)
        with patch.object(run, "training_loader", loader):
            metrics = run.run(config, Path(folder) / "run", progress=False)
    trained = metrics["train"]["seconds"] - bare.seconds
    return {
        "data": config.data.name,
        "steps": bare.steps,
        "bare_ms": 1e3 * bare.seconds / bare.steps,
        "train_ms": 1e3 * trained / bare.steps,
        "ratio": trained / bare.seconds,
        "bare_accuracy": bare.accuracy,
        "train_accuracy": metrics["val"]["joint_accuracy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        choices=["cg-mnist", "cg-digits"],
        default="cg-mnist" if MNIST.exists() else "cg-digits",
    )
    parser.add_argument("--mnist", type=Path, default=MNIST, help="MNIST as one .npz file")
    parser.add_argument("--epochs", type=int, help="by default 1 of cg-mnist, 20 of cg-digits")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    mnist = arguments.data == "cg-mnist"
    config = recipes.cg_mnist(arguments.mnist) if mnist else recipes.cg_digits()
    epochs = arguments.epochs or (1 if mnist else 20)
    row = measure(replace(config, epochs=epochs, threads=arguments.threads))
    shown = {
        "data": row["data"],
        "steps": row["steps"],
        "bare loop, ms/step": f"{row['bare_ms']:.2f}",
        "mmpareto train, ms/step": f"{row['train_ms']:.2f}",
        "ratio": f"{row['ratio']:.3f}",
    }
    write(
        arguments.out,
        "overhead",
        heading("`mmpareto train` and a bare loop", NOTES) + "\n" + markdown([shown]) + "\n",
        [row],
    )


if __name__ == "__main__":
    main()
