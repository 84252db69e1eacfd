"""The report of a comparison: a pure function of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmpareto._storage._files import write_atomically
from mmpareto._storage._folders import make_inside
from mmpareto.compare._comparison import Comparison, read_comparison
from mmpareto.compare._disclosure import shareable
from mmpareto.compare._page import render, shareable_failures, where_measured
from mmpareto.compare._results import modalities, score_of
from mmpareto.compare._roles import ENSEMBLE, JOINT_LOSS
from mmpareto.compare._table import build_table
from mmpareto.compare._wording import datasets, settings_sentences

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
    return render(
        "report.html",
        pictures,
        **where_measured(comparison.config, comparison.environment),
        failures=shareable_failures(comparison.failures),
        run=comparison.run,
        encoders=comparison.magnitudes[0].method if comparison.magnitudes else "",
        caveats=shareable(comparison.notes),
        dataset=datasets(comparison.results),
        modalities=modalities(comparison.results),
        table=build_table(comparison.results, comparison.failures),
        settings=settings_sentences(comparison.tuned),
        score=score_of(comparison.results).title,
        joint_loss=JOINT_LOSS,
        apart=ENSEMBLE,
    )
