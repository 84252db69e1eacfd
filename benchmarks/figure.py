"""The figure of `benchmarks.cost`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.contenders import PLAIN
from mmpareto.compare._drawing import BLUE, GREY, ORANGE, PALE, panels, png, styled


@styled
def _dots(rows: Sequence[dict[str, Any]]) -> Figure:
    """A panel per model, a line per contender: the median ratio and its quartiles."""
    contenders = list(dict.fromkeys(row["contender"] for row in rows if row["contender"] != PLAIN))
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, axes = panels(models, height=1.1 + 0.24 * len(contenders))
    for number, (model, ax) in enumerate(axes.items()):
        ax.set_title(
            model.replace(", batch", "\nbatch"), loc="left", fontsize="small", fontweight="bold"
        )
        for row in rows:
            if row["model"] == model and row["contender"] != PLAIN:
                y = contenders.index(row["contender"])
                colour = ORANGE if row["contender"].startswith("MMPareto") else BLUE
                ax.plot(
                    [row["step_low"], row["step_high"]],
                    [y, y],
                    color=colour,
                    linewidth=3,
                    alpha=0.45,
                )
                ax.plot(row["step"], y, "o", color=colour, markersize=5)
                ax.annotate(
                    f"{row['step']:.2f}",
                    (row["step_high"], y),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize="x-small",
                    color=GREY,
                )
        for x in (1, 5 / 3):
            ax.axvline(x, color=PALE, linewidth=1, linestyle="--", zorder=0)
        ax.set(
            ylim=(len(contenders) - 0.5, -0.5),
            xlim=(0.75, 1.12 * max(row["step_high"] for row in rows)),
        )
        ax.set_yticks(
            range(len(contenders)),
            contenders if number % min(3, len(models)) == 0 else [""] * len(contenders),
        )
        ax.grid(visible=False, axis="y")
    figure.supxlabel(
        "time of a step / plain backward of the sum   (dashed: 1, and 5/3, the least by "
        "operations)",
        fontsize="small",
    )
    return figure


def draw(rows: Sequence[dict[str, Any]]) -> bytes:
    """A PNG of the rows that `benchmarks.cost` writes."""
    return png(_dots(rows))
