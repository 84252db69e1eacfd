"""Whether shorter steps reach what exact ones do, and how often they decide alike.

python -m benchmarks.accuracy [--data cg-digits|cg-mnist|av-digits] [--root FOLDER] [--seeds 5]
[--out FOLDER]
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mmpareto as mp
from benchmarks.overhead import MNIST
from benchmarks.report import RESULTS, heading, markdown, write
from mmpareto import recipes
from mmpareto.compare._statistics import paired_difference, spread
from mmpareto.data import MultimodalDataset
from mmpareto.models import MultimodalModel
from mmpareto.specs import Target
from mmpareto.training import RunConfig
from mmpareto.training._device import on_device
from mmpareto.training._evaluation import predict
from mmpareto.training._loading import training_loader
from mmpareto.training._predictions import objectives

NOTES = (
    "Test joint accuracy in percent of the epoch with the best validation accuracy, mean and "
    "standard deviation over seeds, and the paired difference from exact steps with its 95% "
    "interval, all intervals of the table together. Agreement: of the steps in which both measure, "
    "how many give an encoder the same conflict decision; measured along the training by exact "
    "steps on a copy, every tenth step.",
    "",
)


def top_blocks(model: MultimodalModel) -> dict[str, list[Tensor]]:
    """The last convolution and its batch norm: the late-fusion encoder's last stage."""
    return {name: list(encoder.parameters())[-3:] for name, encoder in model.encoders.items()}


Measure = Callable[[MultimodalModel], mp.Geometry | None]
WAYS: dict[str, tuple[mp.Method, Measure]] = {
    "exact": (mp.MMPareto(), lambda model: None),
    "every 10": (mp.MMPareto(), lambda model: mp.Geometry(every=10)),
    "probe": (mp.MMPareto(), lambda model: mp.Geometry(probe=top_blocks(model))),
    "probe, every 10": (
        mp.MMPareto(),
        lambda model: mp.Geometry(probe=top_blocks(model), every=10),
    ),
    "uniform": (mp.Uniform(), lambda model: None),
}


MAKES: dict[str, Callable[[Path, int], RunConfig]] = {
    "cg-digits": lambda root, seed: recipes.cg_digits(seed=seed),
    "cg-mnist": lambda root, seed: recipes.cg_mnist(root, seed=seed),
    "av-digits": lambda root, seed: recipes.av_digits(root, seed=seed),
}


def train(name: str, config: RunConfig) -> dict[str, Any]:
    """One training with a plain loop."""
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    model = config.model.build(config.shapes, config.data.target.outputs)
    encoders, (method, measure) = mp.Partition(model, **model.encoders), WAYS[name]
    geometry = measure(model)
    sgd, splits, target = config.optimizer, config.data.load(), config.data.target
    optimizer = torch.optim.SGD(
        model.parameters(), sgd.lr, sgd.momentum, weight_decay=sgd.weight_decay
    )
    loader = training_loader(splits.train, config)
    best, tested, agreement = -1.0, 0.0, []
    for epoch in range(config.epochs):
        model.train()
        loader.sampler.set_epoch(epoch)
        for step, loaded in enumerate(loader):
            batch = on_device(loaded, target, torch.device("cpu"))
            if name == "probe" and step % 10 == 0:
                agreement += _decisions(target, model, batch)
            optimizer.zero_grad()
            mp.backward(objectives(target, model, batch), encoders, method, geometry=geometry)
            optimizer.step()
        validation = _accuracy(config, model, splits.val)
        if validation > best:
            best, tested = validation, _accuracy(config, model, splits.test)
    return {"method": name, "seed": config.seed, "accuracy": 100 * tested, "agreement": agreement}


def _accuracy(config: RunConfig, model: MultimodalModel, dataset: MultimodalDataset) -> float:
    return predict(model, dataset, config).scores(config.data.target)["joint_accuracy"]


def _decisions(
    target: Target, model: MultimodalModel, batch: dict[str, Any]
) -> Iterator[tuple[bool, bool]]:
    """Whether an encoder is in conflict, measured everywhere and at its top, in this step."""
    other = copy.deepcopy(model)
    encoders, reports = mp.Partition(other, **other.encoders), []
    for geometry in (mp.Geometry(), mp.Geometry(probe=top_blocks(other))):
        losses = objectives(target, other, batch)
        reports.append(mp.backward(losses, encoders, mp.MMPareto(), geometry=geometry))
    for exact, probed in zip(reports[0].values(), reports[1].values(), strict=True):
        yield bool(exact.conflict), bool(probed.conflict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=MAKES, default="cg-digits")
    parser.add_argument(
        "--root",
        type=Path,
        default=MNIST.parent,
        help="folder with the files of cg-mnist, av-digits",
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    configs = [MAKES[options.data](options.root, seed) for seed in range(options.seeds)]
    if options.epochs:
        configs = [replace(config, epochs=options.epochs) for config in configs]
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(train, *zip(*product(WAYS, configs), strict=True)))
    title = heading(f"Shorter steps on {options.data}", NOTES)
    text = "\n".join([title, markdown(_rows(results)), ""])
    for result in results:
        del result["agreement"]  # no column of the CSV file
    write(options.out, f"accuracy-{options.data}", text, results)


def _rows(results: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row of the table for each method."""
    scores: dict[str, dict[int, float]] = {name: {} for name in WAYS}
    pairs: dict[str, list[tuple[bool, bool]]] = {name: [] for name in WAYS}
    for result in results:
        scores[result["method"]][result["seed"]] = result["accuracy"]
        pairs[result["method"]] += result["agreement"]
    rows = []
    for name, values in scores.items():
        score = spread(values.values())
        difference = paired_difference(values, scores["exact"], comparisons=len(WAYS) - 1)
        alike, conflicts = _agreement(pairs[name])
        rows.append(
            {
                "steps": name,
                "joint accuracy": f"{score.mean:.1f} ± {score.sd:.1f}",
                "minus exact": "reference" if name == "exact" else _shown(difference),
                "decisions alike": alike,
                "exact conflicts": conflicts,
            }
        )
    return rows


def _agreement(pairs: list[tuple[bool, bool]]) -> tuple[str, str]:
    """How often exact and probed steps decide alike, and how often they see a conflict."""
    if not pairs:
        return "-", "-"
    alike = sum(exact == probed for exact, probed in pairs)
    conflicts = sum(exact for exact, _ in pairs)
    shared = sum(exact and probed for exact, probed in pairs)
    return f"{alike} of {len(pairs)}", f"{conflicts}, {shared} of them at the top"


def _shown(difference: Any) -> str:
    resolved = "" if difference.resolved else ", not resolved"
    return f"{difference.mean:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]{resolved}"


if __name__ == "__main__":
    main()
