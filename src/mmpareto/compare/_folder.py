"""A comparison's folder, read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmpareto._csv import read_records
from mmpareto._files import read_text
from mmpareto.compare._results import Result, methods, read_results
from mmpareto.diagnostics import GeometryRow
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class Magnitude:
    """A row of ``magnitudes.csv``: the length of one objective's gradient on one mini-batch, the encoder fixed."""

    method: str
    modality: str
    objective: str
    batch: int
    norm: float


@dataclass(frozen=True)
class Failure:
    """A training that failed."""

    method: str
    seed: int
    error: str


@dataclass(frozen=True)
class Folder:
    """All that a comparison left.

    Args:
        results: Of ``results.csv``.
        run: Name of the run whose geometry is shown, ``{method}-seed{seed}``; empty without any.
        geometry: Of that run.
        magnitudes: Of one method; MMPareto's if there are any.
        failures: Of ``failures.json``.
        config: Text of ``config.yaml``.
        notes: Its key ``notes``.
        environment: Of ``environment.json``.
    """

    results: Sequence[Result]
    run: str
    geometry: Sequence[GeometryRow]
    magnitudes: Sequence[Magnitude]
    failures: Sequence[Failure]
    config: str
    notes: Sequence[str]
    environment: dict[str, Any]


def read_folder(out: Path) -> Folder:
    """Reads a comparison's folder. Any of its files may be absent.

    Args:
        out: The folder.

    Returns:
        What is there.

    Raises:
        MMParetoError: If there is no such folder, or a file in it is malformed.
    """
    if not out.is_dir():
        raise MMParetoError(
            f"{out} should be the folder of a comparison. Found no folder of that name."
        )
    results = read_results(out / "results.csv") if (out / "results.csv").exists() else []
    run = _shown_run(out, results)
    config = read_text(out / "config.yaml") if (out / "config.yaml").exists() else ""
    return Folder(
        results=results,
        run=run,
        geometry=read_records(out / "runs" / run / "geometry.csv", GeometryRow) if run else [],
        magnitudes=_magnitudes(out / "magnitudes.csv"),
        failures=_failures(out / "failures.json"),
        config=config,
        notes=_notes(out / "config.yaml", config),
        environment=_json(out / "environment.json", dict, {}),
    )


def _preferred(names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: ["mmpareto", "uniform", name].index(name))


def _shown_run(out: Path, results: Sequence[Result]) -> str:
    cells = {(result.method, result.seed) for result in results}
    for name in _preferred(methods(results)):
        for seed in sorted(seed for method, seed in cells if method == name):
            if (out / "runs" / f"{name}-seed{seed}" / "geometry.csv").is_file():
                return f"{name}-seed{seed}"
    return ""


def _magnitudes(path: Path) -> list[Magnitude]:
    rows = read_records(path, Magnitude) if path.exists() else []
    first = _preferred(list(dict.fromkeys(row.method for row in rows)))[:1]
    return [row for row in rows if row.method in first]


def _json(path: Path, kind: type, default: Any) -> Any:
    if not path.exists():
        return default
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise MMParetoError(f"{path} should be JSON. Found: {error}.") from error
    if not isinstance(content, kind):
        raise MMParetoError(
            f"{path} should hold a {kind.__name__}. Found a {type(content).__name__}."
        )
    return content


def _failures(path: Path) -> list[Failure]:
    try:
        return [
            Failure(cell["method"], cell["seed"], cell["error"]) for cell in _json(path, list, [])
        ]
    except (KeyError, TypeError) as error:
        raise MMParetoError(
            f"{path} should hold cells with 'method', 'seed' and 'error'. Found: {error!r}."
        ) from error


def _notes(path: Path, config: str) -> list[str]:
    try:
        content = yaml.safe_load(config)
    except yaml.YAMLError as error:
        raise MMParetoError(
            f"{path} should be YAML. Found: {' '.join(str(error).split())}."
        ) from error
    notes = content.get("notes") if isinstance(content, dict) else None
    return [str(note) for note in ([notes] if isinstance(notes, str) else notes or [])]
