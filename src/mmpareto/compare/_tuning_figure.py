"""The figure of a tuning: what each method's budget is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from mmpareto.compare._best_of import budgets
from mmpareto.compare._drawing import literal, looks, panels, styled
from mmpareto.compare._roles import in_order


@styled
def best_of_figure(curves: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Expected best validation score of k points against k, a line per method.

    Args:
        curves: For each method what `best_of` gives, at least one.
        title: Name of the score.

    Returns:
        The figure. Where lines still rise at their right ends, a larger budget would change the
        methods' order; where they cross, a smaller one would have.
    """
    figure, axes = panels([""], 3.6)
    ax, look = axes[""], looks(in_order(set(curves)))
    for name, arguments in look.items():
        drawn = range(1, len(curves[name]) + 1)
        ax.plot(drawn, [100 * score for score in curves[name]], label=literal(name), **arguments)
    ax.set_xscale("log", base=2)
    ax.set_xticks(*_ticks(max(map(len, curves.values()))))
    ax.minorticks_off()
    ax.set(xlabel="points tried", ylabel=f"best joint {title}, validation (%)")
    figure.legend(loc="outside lower center", ncols=min(len(curves), 4))
    return figure


def _ticks(largest: int) -> tuple[list[int], list[str]]:
    """Powers of two and the largest number of points, with their labels."""
    ticks = budgets(largest)
    return ticks, list(map(str, ticks))
