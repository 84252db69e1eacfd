"""What a step costs as a ratio to the plain summed backward, and what memory it takes.

python -m benchmarks.cost [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import CASES, FULL, ON_GPU, QUICK
from benchmarks.contenders import CONTENDERS, PLAIN, UNIFORM, sgd
from benchmarks.figure import draw
from benchmarks.memory import peak_in_fresh_process
from benchmarks.report import RESULTS, heading, markdown, write
from benchmarks.timing import FEWEST, MOST, device_clock, ratios
from mmpareto._storage._files import write_atomically

NOTES = (
    "A step is zero_grad, forward, backward and SGD with momentum. *step* is its time over that of "
    "a plain backward of the summed loss: the median of the ratios within each round, and their "
    "quartiles. All take turns in one process on one model and batch, in random order. By number "
    "of operations a gradient per objective costs at least 5/3 = 1.67 in the encoders. All "
    "encoders of a model have the size named, so the model grows with their number.",
    "",
    "*memory* is the peak in a fresh process, of all that torch allocates in three steps; *over "
    "uniform* is what it exceeds uniform's by, in units of the bytes of the encoders' gradients.",
    "",
)


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time, "device": device_clock}


def measure(
    key: str, seconds: float, *, fewest: int = FEWEST, clock: str = "wall"
) -> list[dict[str, Any]]:
    """One case: a row per contender."""
    case, device = CASES[key], "cuda" if clock == "device" else "cpu"
    model, batch = case.model(device), case.batch(device)
    optimizer = sgd(model)
    steps = {c.name: partial(c.step(model, optimizer), batch) for c in CONTENDERS}
    periods = {c.name: c.period for c in CONTENDERS}
    timed = ratios(
        steps, PLAIN, seconds, periods=periods, clock=CLOCKS[clock], rounds=(fewest, MOST)
    )
    peaks = {c.name: peak_in_fresh_process(key, c.name, device) for c in CONTENDERS}
    unit = sum(
        parameter.nbytes
        for encoder in model.encoders.values()
        for parameter in encoder.parameters()
    )
    return [
        {
            "model": case.name,
            "encoder_parameters": unit // 4,
            "contender": name,
            "step": ratio.median,
            "step_low": ratio.low,
            "step_high": ratio.high,
            "rounds": ratio.rounds,
            "milliseconds": 1e3 * ratio.seconds,
            "peak_bytes": peaks[name],
            "over_uniform": (peaks[name] - peaks[UNIFORM]) / unit,
        }
        for name, ratio in timed.items()
    ]


def tables(rows: Iterable[dict[str, Any]]) -> str:
    """A table per model."""
    by_model: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_model.setdefault(row["model"], []).append(row)
    parts = []
    for model, rows_of_model in by_model.items():
        shown = [
            {
                "contender": row["contender"],
                "step": f"{row['step']:.2f}",
                "quartiles": f"{row['step_low']:.2f} to {row['step_high']:.2f}",
                "ms": f"{row['milliseconds']:.1f}",
                "memory, MiB": f"{row['peak_bytes'] / 2**20:.1f}",
                "over uniform": f"{row['over_uniform']:+.2f}",
            }
            for row in rows_of_model
        ]
        millions, rounds = rows_of_model[0]["encoder_parameters"] / 1e6, rows_of_model[0]["rounds"]
        size = f"{millions:.2f} million parameters in the encoders, {rounds} rounds."
        parts += [f"## {model}", "", size, "", markdown(shown), ""]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller models")
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, metavar="CASE", help=f"some of {', '.join(CASES)}"
    )
    parser.add_argument("--seconds", type=float, help="of timing per model")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--cpu-time", action="store_true", help="for a busy machine, with --threads 1"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no CUDA device here")
    clock = "processor" if arguments.cpu_time else "wall"
    clock = "device" if arguments.device == "cuda" else clock
    torch.set_num_threads(arguments.threads)
    full = FULL if arguments.device == "cpu" else ON_GPU
    rows = []
    for key in arguments.cases or (QUICK if arguments.quick else full):
        seconds = arguments.seconds or (
            7 if arguments.quick else 240 if key.startswith("resnet") else 30
        )
        print(f"{CASES[key].name} ...", file=sys.stderr)
        fewest = 2 if arguments.quick else FEWEST
        rows += measure(key, seconds, fewest=fewest, clock=clock)
    notes = list(NOTES)
    if arguments.quick:
        notes += ["Quick: fewer models, ResNets on smaller batches and images, fewer rounds.", ""]
    if arguments.device == "cuda":
        notes += [f"On one {torch.cuda.get_device_name()}; memory is CUDA's allocator's.", ""]
    if arguments.cpu_time:
        notes += ["Processor time in place of wall time.", ""]
    write(arguments.out, "cost", heading("What a step costs", notes) + "\n" + tables(rows), rows)
    write_atomically(arguments.out / "cost.png", draw(rows))


if __name__ == "__main__":
    main()
