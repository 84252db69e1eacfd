"""A comparison's folder with made-up numbers of a realistic size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mmpareto._storage._csv import write_records
from mmpareto.compare._comparison import Magnitude
from mmpareto.compare._results import Result, write_results
from mmpareto.diagnostics import GeometryRow

MEANS = {
    "joint": (0.61, 0.40, 0.35),
    "uniform": (0.73, 0.85, 0.55),
    "scaled-uniform": (0.745, 0.86, 0.57),
    "mgda": (0.625, 0.80, 0.50),
    "mmpareto": (0.745, 0.87, 0.58),
    "ensemble": (0.70, 0.84, 0.53),
}
MODALITIES = ("gray", "colour")


def results(
    methods=tuple(MEANS), seeds=range(5), dataset="cg-digits", modalities=MODALITIES
) -> list[Result]:
    """Results of `methods`, those without a place in MEANS like uniform's."""
    rng = np.random.default_rng(0)
    found = []
    for method in methods:
        means = MEANS.get(method, MEANS["uniform"])
        for seed in seeds:
            test = {
                f"{m}_accuracy": v
                for m, v in zip(("joint", *modalities), (*means, *means[1:] * 9), strict=False)
            }
            for split, metrics in (
                ("val", test),
                ("test", test),
                (
                    "train",
                    {f"conflict_rate/{m}": 0.02 for m in modalities}
                    if method != "ensemble"
                    else {},
                ),
            ):
                for metric, mean in metrics.items():
                    value = np.clip(mean + 0.01 * rng.standard_normal(), 0, 1)
                    found.append(Result(dataset, method, seed, split, metric, float(value)))
            found.append(
                Result(dataset, method, seed, "train", "seconds", 12 + float(rng.random()))
            )
            found.append(Result(dataset, method, seed, "val", "epoch", float(rng.integers(20, 30))))
    return found


def geometry(modalities=MODALITIES, steps=600) -> list[GeometryRow]:
    """Cosines that fall below zero in the first half of training."""
    rng = np.random.default_rng(1)
    rows = []
    for step in range(steps):
        for modality in modalities:
            cosine = float(np.clip(0.25 + 0.4 * step / steps + 0.15 * rng.standard_normal(), -1, 1))
            rows.append(
                GeometryRow(
                    step, modality, cosine, cosine <= 0, float(rng.random()), float(rng.random())
                )
            )
    return rows


def magnitudes(modalities=MODALITIES, batches=100) -> list[Magnitude]:
    """Joint gradients shorter than unimodal ones."""
    rng = np.random.default_rng(2)
    return [
        Magnitude(method, modality, objective, batch, float(mean + sd * rng.standard_normal()))
        for method in ("uniform", "mmpareto")
        for modality in modalities
        for objective, mean, sd in (("joint", 2.4, 0.2), ("unimodal", 3.4, 0.4))
        for batch in range(batches)
    ]


def write_comparison(out: Path, **choices) -> Path:
    """Writes a folder; `choices` go to `results`."""
    write_results(out / "results.csv", results(**choices))
    modalities = choices.get("modalities", MODALITIES)
    for method in dict.fromkeys((*choices.get("methods", ()), "uniform", "mmpareto")):
        if "/" in method:
            continue
        run = out / "runs" / f"{method}-seed0"
        run.mkdir(parents=True)
        write_records(run / "geometry.csv", GeometryRow, geometry(modalities))
    write_records(out / "magnitudes.csv", Magnitude, magnitudes(modalities))
    (out / "config.yaml").write_text(
        "data: cg-digits\nmethods: [joint, uniform]\nseeds: 5\nepochs: 30\n"
        "notes:\n- cg-digits is a reconstruction, not the paper's data set.\n"
    )
    environment = {
        "date": "2025-01-31T12:00:00+00:00",
        "command": "mmpareto compare --out 'a folder'",
        "versions": {"mmpareto": "0.1.0", "torch": "2.13.0"},
        "machine": "x86_64, 2 cores",
    }
    (out / "environment.json").write_text(json.dumps(environment))
    (out / "failures.json").write_text(
        json.dumps([{"method": "mgda", "seed": 3, "error": "loss became NaN"}])
    )
    return out
