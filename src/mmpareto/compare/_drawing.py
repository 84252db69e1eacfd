"""What all figures share.

One look, one colour and marker per method, PNG bytes that depend on the data alone.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmpareto._storage._names import printable
from mmpareto.compare._roles import BLUE as BLUE
from mmpareto.compare._roles import GREY as GREY
from mmpareto.compare._roles import ORANGE as ORANGE
from mmpareto.compare._roles import OTHER_LOOKS, ROLES
from mmpareto.compare._roles import PALE as PALE

P = ParamSpec("P")

_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.dpi": 160,
    "figure.facecolor": "white",
    "font.size": 9.5,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.fontsize": "small",
    "legend.frameon": False,
}
_WIDTHS = {1: 5.4, 2: 7.2, 3: 9.6}  # inches by panels side by side


@contextmanager
def _styled() -> Iterator[None]:
    """Drawing independent of the user's matplotlib settings."""
    with mpl.style.context(["default", _STYLE]):
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Makes a function draw in the common style, whatever the user's matplotlib settings are."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _styled():
            return draw(*args, **kwargs)

    return wrapper


def png(figure: Figure) -> bytes:
    """A figure as PNG, the same bytes for the same figure: no date, no version of the software."""
    with _styled():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and its size for each method, as matplotlib's arguments.

    They are fixed for methods with a role; others get the next free look, in their order.
    """
    arguments = {}
    others = 0
    for name in methods:
        if name in ROLES:
            colour, marker = ROLES[name].colour, ROLES[name].marker
        else:
            colour, marker = OTHER_LOOKS[others % len(OTHER_LOOKS)]
            others += 1
        size = 12 if marker == "*" else 7
        arguments[name] = {"color": colour, "marker": marker, "ms": size, "mec": "white"}
    return arguments


def panels(names: Sequence[str], height: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel per name, at most three side by side.

    Args:
        names: Titles of the panels, at least one.
        height: Height of one row of panels, in inches.

    Returns:
        The figure and its panels by name.
    """
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(_WIDTHS[columns], height * rows), layout="constrained")
    axes = {}
    for position, name in enumerate(names, start=1):
        axes[name] = figure.add_subplot(rows, columns, position)
        axes[name].set_title(literal(name), loc="left", fontweight="bold")
    return figure, axes


def finite(numbers: Iterable[float]) -> list[float]:
    """Those of the numbers that are finite."""
    return list(filter(math.isfinite, numbers))


def literal(name: str) -> str:
    """A name as a figure shows it: no dollar sign is a formula, no character is invisible."""
    return printable(name).replace("$", r"\$")
