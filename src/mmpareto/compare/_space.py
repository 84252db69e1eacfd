"""Points that every method of a tuning tries: the same for all, known beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmpareto import balancing
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Method, Range
from mmpareto.compare._cell import Cell, configuration
from mmpareto.compare._dotted import adjusted, number
from mmpareto.errors import MMParetoError
from mmpareto.training import RunConfig, restore

DEFAULT_SPACE = {"optimizer.lr": {"log": [3e-4, 3e-1]}}
"""What is tuned beside the methods' settings: the rate, by which methods differ most."""

_SEED = 0
_METHOD = "method."


@dataclass(frozen=True)
class Space:
    """Intervals of settings.

    Args:
        intervals: By dotted name, those that hold for all methods. Of other settings of a method
            the interval is the one that the method declares.
    """

    intervals: Mapping[str, Range]

    def points(self, budget: int) -> list[dict[str, float]]:
        """The points: for each a number from 0 to 1, by setting. A larger budget adds to them.

        They are Sobol's, scrambled with one seed, over these settings and all that methods declare.
        So they depend neither on which methods are tuned nor on what came out.

        Args:
            budget: Number of points, with the defaults, which are none of these.
        """
        from scipy.stats import qmc

        names = sorted(self.intervals)
        for name in declared():
            if name not in names:
                names.append(name)
        wanted = budget - 1
        sobol = qmc.Sobol(len(names), scramble=True, seed=_SEED)
        drawn = sobol.random_base2(max(0, wanted - 1).bit_length())[:wanted].tolist()
        return [dict(zip(names, coordinates, strict=True)) for coordinates in drawn]

    def settings(
        self, config: RunConfig, point: Mapping[str, float]
    ) -> tuple[tuple[str, float], ...]:
        """What a point sets in a training; it passes over what the training lacks.

        Args:
            config: The training, with its method.
            point: One of `points`.

        Returns:
            Dotted names and numbers.
        """
        settings: list[tuple[str, float]] = []
        for name, coordinate in point.items():
            interval = self.intervals.get(name)
            if interval is None:
                interval = config.method.facts.ranges.get(name.removeprefix(_METHOD))
            if interval is not None and number(config, name) is not None:
                settings.append((name, _place(interval, coordinate)))
        return tuple(settings)


def declared() -> list[str]:
    """Dotted names of the settings for which some method declares an interval, sorted."""
    names: set[str] = set()
    for method in catalogue(balancing, Method).values():
        names.update(_METHOD + setting for setting in method.facts.ranges)
    return sorted(names)


def _place(interval: Range, coordinate: float) -> float:
    """The number that is so far along an interval."""
    low, high = interval.low, interval.high
    if interval.scale == "linear":
        return low + coordinate * (high - low)
    return math.exp(math.log(low) + coordinate * (math.log(high) - math.log(low)))


def parse_space(content: Any) -> Space:
    """A space from plain values: ``{setting: {log: [low, high]}}``, or ``linear``.

    Raises:
        MMParetoError: If they are none, or an interval is empty.

    Example:
        >>> parse_space({"optimizer.lr": {"log": [1e-4, 0.1]}}).intervals
        {'optimizer.lr': Range(low=0.0001, high=0.1, scale='log')}
    """
    kind = dict[str, dict[Literal["log", "linear"], tuple[float, float]]]
    intervals: dict[str, Range] = {}
    for name, choice in restore(kind, content, "Parameter `space`").items():
        if len(choice) != 1:
            raise MMParetoError(
                "Parameter `space` should have one interval for each setting, log or linear. Found "
                f"{len(choice)} for '{name}'."
            )
        ((scale, (low, high)),) = choice.items()
        least = 0.0 if scale == "log" else -math.inf
        if not least < low < high < math.inf:
            raise MMParetoError(
                "Parameter `space` should have intervals [low, high] with low below high, finite, "
                f"and above 0 if they are log. Found [{low:g}, {high:g}] for '{name}'."
            )
        intervals[name] = Range(low, high, scale)
    return Space(intervals)


def plain(space: Space) -> dict[str, Any]:
    """A space as `parse_space` takes it."""
    content: dict[str, Any] = {}
    for name, interval in space.intervals.items():
        content[name] = {interval.scale: [interval.low, interval.high]}
    return content


def check_space(space: Space, base: RunConfig, methods: Sequence[str]) -> None:
    """Checks that a space is one of settings that trainings have.

    Raises:
        MMParetoError: If none of the methods has a setting, or one does not take its interval.
    """
    configs = [method_config(base, method) for method in methods]
    for name, interval in space.intervals.items():
        having = [config for config in configs if number(config, name) is not None]
        if not having:
            raise MMParetoError(
                "Parameter `space` should name numbers of the settings, such as optimizer.lr or "
                f"method.gamma, that a method of the tuning has. Found '{name}'."
            )
        for config in having:
            for end in (interval.low, interval.high):
                adjusted(config, [(name, end)])


def method_config(base: RunConfig, method: str) -> RunConfig:
    """A training with this method, whose settings are its defaults."""
    return configuration(base, Cell(method, base.seed))
