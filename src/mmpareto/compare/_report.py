"""The report of a comparison: a pure function of its folder."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mmpareto._storage._files import write_atomically
from mmpareto._storage._folders import make_inside
from mmpareto._storage._names import printable
from mmpareto._storage._yaml import parse_yaml
from mmpareto.compare._comparison import Comparison, read_comparison
from mmpareto.compare._disclosure import shareable
from mmpareto.compare._results import modalities, score_of
from mmpareto.compare._table import build_table
from mmpareto.compare._wording import datasets

if TYPE_CHECKING:
    from mmpareto.compare._illustrations import Illustration


def write_report(out: str | Path) -> Path:
    """Writes ``report.html`` and ``figures/*.png`` from the other files of a comparison's folder.

    The report is one file: style and figures are inside, nothing is loaded from elsewhere. It can
    be sent to anyone: of absolute paths it has the last component alone, and no secret of a command
    line. Running it again on the same files gives the same bytes. What is missing in the folder is
    named in the report as missing.

    Args:
        out: The folder, with any of ``results.csv``, ``config.yaml``, ``environment.json``,
            ``failures.json``, ``magnitudes.csv`` and ``runs/{method}-seed{seed}/geometry.csv``.

    Returns:
        Path of the report.

    Raises:
        MMParetoError: If there is no such folder, a file in it is malformed or the report cannot be
            written.
    """
    # Loads matplotlib, which the processes that train have no use for.
    from mmpareto.compare._illustrations import illustrations

    out = Path(out)
    comparison = read_comparison(out)
    pictures = illustrations(comparison)
    page = _page(comparison, pictures)
    make_inside(out, "figures")
    for name, picture in pictures.items():
        write_atomically(out / "figures" / f"{name}.png", picture.png)
    write_atomically(out / "report.html", page)
    return out / "report.html"


def _page(comparison: Comparison, pictures: dict[str, Illustration]) -> str:
    import jinja2

    jinja = jinja2.Environment(
        autoescape=True,
        finalize=_show,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    environment = shareable(comparison.environment)
    command = environment.pop("command", None)
    images, alts = {}, {}
    for name, picture in pictures.items():
        images[name] = base64.b64encode(picture.png).decode()
        alts[name] = picture.alt
    return jinja.from_string(page).render(
        comparison=_shareable_comparison(comparison),
        dataset=datasets(comparison.results),
        modalities=modalities(comparison.results),
        table=build_table(comparison.results, comparison.failures),
        score=score_of(comparison.results).title,
        images=images,
        alts=alts,
        command=command,
        environment={name: _text(value) for name, value in environment.items()},
    )


def _show(value: Any) -> Any:
    """Text without control characters; what is HTML already stays."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(value) if is_text else value


def _shareable_comparison(comparison: Comparison) -> Comparison:
    """The comparison as it may be sent to anyone."""
    failures = [replace(failure, error=shareable(failure.error)) for failure in comparison.failures]
    settings = parse_yaml(comparison.config, "config.yaml")
    config = comparison.config
    if isinstance(settings, dict):
        config = yaml.safe_dump(shareable(settings), sort_keys=False, width=100)
    return replace(comparison, failures=failures, config=config, notes=shareable(comparison.notes))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
