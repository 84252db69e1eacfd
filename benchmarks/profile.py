"""Where the time of one MMPareto step goes, in shares of a plain step.

python -m benchmarks.profile [--cases CASE ...] [--out FOLDER]

Timers are put around the functions of the library for the time of the measurement; on a processor a
function has done its work when it returns.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mmpareto as mp
from benchmarks.cases import CASES
from benchmarks.contenders import CONTENDERS, PLAIN, balanced, sgd
from benchmarks.models import LateFusion
from benchmarks.report import RESULTS, heading, markdown, write
from mmpareto import gradients
from mmpareto.step import _losses

PASSES = ("joint pass", "unimodal passes")
PARTS = (
    "zero_grad",
    "forward",
    "checks, graph walk",
    *PASSES,
    "Gramians",
    "weights",
    "combination",
    "into .grad",
    "optimizer",
)
NOTES = (
    "Shares of the time of a plain step, medians over rounds in which a plain step and an MMPareto "
    "step are made back to back. *other* is what none of the timers saw.",
    "",
)


class Stopwatch:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def timed(self, function: Callable[..., Any], *parts: str) -> Callable[..., Any]:
        """`function`, timed as the first of `parts` at first, as the second from then on."""

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            part = parts[min(self.calls[parts[0]], len(parts) - 1)]
            self.calls[parts[0]] += 1
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.perf_counter() - start

        return wrapper


@contextmanager
def library_timed(watch: Stopwatch) -> Iterator[None]:
    """Puts timers around the library's functions, wherever they were imported to."""
    functions = {
        _losses.check_losses: ("checks, graph walk",),
        gradients.collect: PASSES,
        gradients.gramians: ("Gramians",),
        gradients.combine: ("combination",),
        gradients.accumulate: ("into .grad",),
        mp.MMPareto.weights: ("weights",),
    }
    modules = [
        module for name, module in sys.modules.items() if name.partition(".")[0] == "mmpareto"
    ]
    replaced = []
    for function, parts in functions.items():
        timed = watch.timed(function, *parts)
        for place in (*modules, mp.MMPareto):
            names = [name for name, value in vars(place).items() if value is function]
            replaced += [(place, name, function) for name in names]
            for name in names:
                setattr(place, name, timed)
    try:
        yield
    finally:
        for place, name, function in replaced:
            setattr(place, name, function)


def shares(key: str, rounds: int) -> dict[str, float]:
    """By part, the median share of a plain step."""
    case = CASES[key]
    model, batch = case.model(), case.batch()
    optimizer = sgd(model)
    plain = next(c for c in CONTENDERS if c.name == PLAIN).step(model, optimizer)
    backward = balanced(mp.MMPareto())(model)
    for _ in range(2):
        plain(batch)
        _timed_step(backward, model, optimizer, batch)
    ratios: dict[str, list[float]] = {}
    for _ in range(rounds):
        start = time.perf_counter()
        plain(batch)
        reference = time.perf_counter() - start
        for part, seconds in _timed_step(backward, model, optimizer, batch).items():
            ratios.setdefault(part, []).append(seconds / reference)
    return {part: float(np.median(values)) for part, values in ratios.items()}


def _timed_step(
    backward: Callable[..., object],
    model: LateFusion,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, torch.Tensor],
) -> dict[str, float]:
    watch = Stopwatch()
    with library_timed(watch):
        start = time.perf_counter()
        watch.timed(optimizer.zero_grad, "zero_grad")()
        losses = watch.timed(model.losses, "forward")(batch)
        backward(losses)
        del losses
        watch.timed(optimizer.step, "optimizer")()
        total = time.perf_counter() - start
    parts = {part: watch.seconds[part] for part in PARTS}
    return parts | {"other": total - sum(parts.values()), "all": total}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, default=["mlp-2", "cnn", "transformer", "resnet-8x112"]
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [{"model": CASES[key].name, **shares(key, arguments.rounds)} for key in arguments.cases]
    shown = []
    for part in (*PARTS, "other", "all"):
        cells = {row["model"]: f"{100 * row[part]:.1f}%" for row in rows}
        shown.append({"part": part, **cells})
    title = "Where the time of an MMPareto step goes"
    write(arguments.out, "profile", heading(title, NOTES) + "\n" + markdown(shown) + "\n", rows)


if __name__ == "__main__":
    main()
