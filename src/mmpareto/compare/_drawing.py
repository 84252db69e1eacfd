"""What all figures share: one look, one colour and marker per method, PNG bytes that depend on the data alone."""

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

P = ParamSpec("P")

BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#595959", "#8c8c8c"
# Okabe and Ito's colours, told apart by colour-blind readers; markers tell them apart in black and
# white.
_LOOKS = {
    "joint": (GREY, "o"),
    "uniform": (BLUE, "s"),
    "scaled-uniform": ("#56B4E9", "D"),
    "mgda": ("#CC79A7", "v"),
    "mmpareto": (ORANGE, "*"),
    "ensemble": ("#009E73", "^"),
}
_OTHER_LOOKS = [
    ("#E69F00", "X"),
    ("#332288", "<"),
    ("#882255", ">"),
    ("#117733", "p"),
    ("#AA4499", "h"),
]
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
    """Colour, marker and its size for each method, as matplotlib's arguments; fixed for the library's own."""
    others = [name for name in methods if name not in _LOOKS]
    both = _LOOKS | {name: _OTHER_LOOKS[i % len(_OTHER_LOOKS)] for i, name in enumerate(others)}
    return {
        name: {"color": colour, "marker": marker, "ms": 12 if marker == "*" else 7, "mec": "white"}
        for name, (colour, marker) in both.items()
    }


def panels(names: Sequence[str], height: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel per name, at most three side by side.

    Args:
        names: Titles of the panels, at least one.
        height: Of one row of panels, in inches.

    Returns:
        The figure and its panels by name.
    """
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(_WIDTHS[columns], height * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(len(names))]
    for ax, name in zip(axes, names, strict=True):
        ax.set_title(literal(name), loc="left", fontweight="bold")
    return figure, dict(zip(names, axes, strict=True))


def finite(values: Iterable[float]) -> list[float]:
    """The finite ones among values."""
    return [value for value in values if math.isfinite(value)]


def literal(name: str) -> str:
    """A name in which a dollar sign is no formula."""
    return name.replace("$", r"\$")
