"""The report of a comparison: a pure function of its folder."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from mmpareto._files import make_folder, write_atomically
from mmpareto.compare._folder import Folder, read_folder
from mmpareto.compare._illustrations import Illustration, illustrations
from mmpareto.compare._results import modalities, score_of
from mmpareto.compare._table import build_table
from mmpareto.compare._wording import datasets


def write_report(out: str | Path) -> Path:
    """Writes ``report.html`` and ``figures/*.png`` from the other files of a comparison's folder.

    The report is one file: style and figures are inside, nothing is loaded from elsewhere. Running
    it again on the same files gives the same bytes. What is missing in the folder is named in the
    report as missing.

    Args:
        out: The folder, with any of ``results.csv``, ``config.yaml``, ``environment.json``,
            ``failures.json``, ``magnitudes.csv`` and ``runs/{method}-seed{seed}/geometry.csv``.

    Returns:
        Path of the report.

    Raises:
        MMParetoError: If there is no such folder, a file in it is malformed or the report cannot be
            written.
    """
    out = Path(out)
    folder = read_folder(out)
    page = _page(folder, pictures := illustrations(folder))
    make_folder(out / "figures")
    for name, picture in pictures.items():
        write_atomically(out / "figures" / f"{name}.png", picture.png)
    write_atomically(out / "report.html", page)
    return out / "report.html"


def _page(folder: Folder, pictures: dict[str, Illustration]) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    )
    return template.render(
        folder=folder,
        dataset=datasets(folder.results),
        modalities=modalities(folder.results),
        table=build_table(folder.results),
        score=score_of(folder.results).title,
        images={name: base64.b64encode(picture.png).decode() for name, picture in pictures.items()},
        alts={name: picture.alt for name, picture in pictures.items()},
        command=folder.environment.get("command"),
        environment={name: _text(v) for name, v in folder.environment.items() if name != "command"},
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
