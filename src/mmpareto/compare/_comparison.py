"""What a comparison left in its folder, read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpareto._storage._csv import read_records
from mmpareto._storage._files import read_text
from mmpareto._storage._names import file_name
from mmpareto._storage._yaml import parse_yaml
from mmpareto.compare._results import Result, methods, read_results
from mmpareto.compare._roles import REFERENCE, SUBJECT
from mmpareto.compare._tuned import Tuned, stored_tuned
from mmpareto.diagnostics import GeometryRow
from mmpareto.errors import MMParetoError


@dataclass(frozen=True)
class Magnitude:
    """A row of ``magnitudes.csv``: the length of one objective's gradient at a fixed encoder.

    Args:
        method: Method that trained the encoder.
        modality: The encoder's modality.
        objective: ``"joint"`` or ``"unimodal"``.
        batch: Number of the mini-batch.
        norm: The length.
    """

    method: str
    modality: str
    objective: str
    batch: int
    norm: float


@dataclass(frozen=True)
class Failure:
    """A training that failed.

    Args:
        method: Its method.
        seed: Its seed.
        error: Kind and message of the error.
    """

    method: str
    seed: int
    error: str


@dataclass(frozen=True)
class Comparison:
    """All that a comparison left.

    Args:
        results: Rows of ``results.csv``.
        run: Name of the run whose geometry is shown, ``{method}-seed{seed}``; empty without any.
        geometry: Rows of this run's ``geometry.csv``.
        magnitudes: Rows of ``magnitudes.csv`` of one method; MMPareto's if there are any.
        failures: Cells of ``failures.json``.
        config: Text of ``config.yaml``.
        notes: Its key ``notes``.
        environment: Content of ``environment.json``.
        tuned: Choices of ``tuned.yaml``; None where all methods have the same settings.
    """

    results: Sequence[Result]
    run: str
    geometry: Sequence[GeometryRow]
    magnitudes: Sequence[Magnitude]
    failures: Sequence[Failure]
    config: str
    notes: Sequence[str]
    environment: dict[str, Any]
    tuned: Tuned | None = None


def run_name(method: str, seed: int, point: int | None = None) -> str:
    """Name of the folder of a training; in a tuning, with the number of the point."""
    tried = "" if point is None else f"-point{point:02d}"
    return f"{file_name(method)}{tried}-seed{seed}"


def read_comparison(out: Path) -> Comparison:
    """Reads a comparison's folder. Any of its files may be absent.

    Args:
        out: The folder.

    Returns:
        What is in it.

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
    return Comparison(
        results=results,
        run=run,
        geometry=read_records(out / "runs" / run / "geometry.csv", GeometryRow) if run else [],
        magnitudes=_magnitudes(out / "magnitudes.csv"),
        failures=read_failures(out / "failures.json"),
        config=config,
        notes=_notes(out / "config.yaml", config),
        environment=read_environment(out),
        tuned=stored_tuned(out),
    )


def _preference(name: str) -> int:
    """The place of a method among those of which one is shown."""
    return {SUBJECT: 0, REFERENCE: 1}.get(name, 2)


def _shown_run(out: Path, results: Sequence[Result]) -> str:
    cells = sorted({(result.method, result.seed) for result in results})
    for method in sorted(methods(results), key=_preference):
        for name, seed in cells:
            run = run_name(name, seed)
            if name == method and (out / "runs" / run / "geometry.csv").is_file():
                return run
    return ""


def _magnitudes(path: Path) -> list[Magnitude]:
    by_method: dict[str, list[Magnitude]] = {}
    for row in read_records(path, Magnitude) if path.exists() else []:
        by_method.setdefault(row.method, []).append(row)
    return by_method[min(by_method, key=_preference)] if by_method else []


def _read_json(path: Path, kind: type, default: Any) -> Any:
    if not path.exists():
        return default
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise MMParetoError(f"{path} should be JSON. Found: {error}.") from error
    if not isinstance(content, kind):
        raise MMParetoError(
            f"{path} should hold a {kind.__name__}. Found a {type(content).__name__}."
        )
    return content


def read_environment(out: Path) -> dict[str, Any]:
    """Content of a folder's ``environment.json``; empty without that file."""
    content: dict[str, Any] = _read_json(out / "environment.json", dict, {})
    return content


def read_failures(path: Path) -> list[Failure]:
    """Reads ``failures.json``; without that file there are none.

    Raises:
        MMParetoError: If the file is malformed.
    """
    cells = _read_json(path, list, [])
    try:
        return [Failure(cell["method"], cell["seed"], cell["error"]) for cell in cells]
    except (KeyError, TypeError) as error:
        raise MMParetoError(
            f"{path} should hold cells with 'method', 'seed' and 'error'. Found: {error!r}."
        ) from error


def _notes(path: Path, config: str) -> list[str]:
    content = parse_yaml(config, str(path))
    notes = content.get("notes") if isinstance(content, dict) else None
    if isinstance(notes, str):
        return [notes]
    return list(map(str, notes or []))
