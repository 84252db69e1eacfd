"""What `mmpareto train` adds to each step of a bare loop that makes the same steps.

python -m benchmarks.overhead [--data cg-mnist|cg-digits] [--mnist FILE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mmpareto as mp
from benchmarks.report import RESULTS, heading, markdown, write
from mmpareto import recipes
from mmpareto.training import RunConfig
from mmpareto.training._evaluation import predict, threads
from mmpareto.training._loading import training_loader
from mmpareto.training._predictions import objectives

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
NOTES = (
    "Both make the same steps with MMPareto on the same batches, from the same weights, with the library's model and "
    "batches, and measure the accuracy on the validation part after every epoch. `mmpareto train` adds Lightning, "
    "means of the losses, the geometry of every step, checkpoints and two logs. The seconds are those of "
    "the epochs, without loading and building; medians over repetitions in which one follows the other.",
    "",
)


def bare_loop(config: RunConfig) -> tuple[float, float]:
    """Seconds of the epochs, and the joint accuracy on the validation part at the end."""
    splits = config.data.load()
    torch.manual_seed(config.seed)
    model = config.model.build(config.shapes, config.data.target.outputs)
    encoders = mp.Partition(model, **model.encoders)
    settings = config.optimizer
    optimizer = torch.optim.SGD(model.parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay)
    loader = training_loader(splits.train, config.shapes, config.batch_size, config.seed)
    start = time.perf_counter()
    for epoch in range(config.epochs):
        model.train()
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            losses = objectives(config.data.target, model, batch)
            optimizer.zero_grad()
            mp.backward(losses, encoders, config.method)
            optimizer.step()
        accuracy = predict(config, model, splits.val).scores(config.data.target)["joint_accuracy"]
    return time.perf_counter() - start, accuracy


def command(config: RunConfig) -> tuple[float, float]:
    """The same of `mmpareto train`."""
    from mmpareto.training.run import run

    with tempfile.TemporaryDirectory() as folder:
        metrics = run(config, Path(folder) / "run", progress=False)
    return metrics["train"]["seconds"], metrics["val"]["joint_accuracy"]


def measure(config: RunConfig, repetitions: int) -> dict[str, Any]:
    """Milliseconds per step of both."""
    steps = config.epochs * (len(config.data.load().train) // config.batch_size)
    with threads(config.threads):
        pairs = [(bare_loop(config)[0], command(config)[0]) for _ in range(repetitions)]
    bare, trained = 1e3 * np.array(pairs).T / steps
    return {
        "data": config.data.name,
        "steps": steps,
        "repetitions": repetitions,
        "bare_ms": float(np.median(bare)),
        "train_ms": float(np.median(trained)),
        "overhead_ms": float(np.median(trained - bare)),
        "ratio": float(np.median(trained / bare)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", choices=["cg-mnist", "cg-digits"], default="cg-mnist" if MNIST.exists() else "cg-digits"
    )
    parser.add_argument("--mnist", type=Path, default=MNIST, help="MNIST as one .npz file")
    parser.add_argument("--epochs", type=int, help="by default 1 of cg-mnist, 20 of cg-digits")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    mnist = arguments.data == "cg-mnist"
    config = recipes.cg_mnist(arguments.mnist) if mnist else recipes.cg_digits()
    epochs = arguments.epochs or (1 if mnist else 20)
    row = measure(replace(config, epochs=epochs, threads=arguments.threads), arguments.repetitions)
    shown = {
        "data": row["data"],
        "steps": row["steps"],
        "bare loop, ms/step": f"{row['bare_ms']:.2f}",
        "mmpareto train, ms/step": f"{row['train_ms']:.2f}",
        "added, ms/step": f"{row['overhead_ms']:.2f}",
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
