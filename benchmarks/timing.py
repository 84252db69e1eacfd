"""Times of several contenders, interleaved in one process."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

MEASURE = 0.02
"""Seconds that a measurement of the reference should take at least; shorter steps are repeated."""

FEWEST, MOST = 5, 200
"""Rounds, whatever they take."""


def device_clock() -> float:
    """Seconds, when the GPU has done all that it was given.

    A measurement begins and ends with such a wait, as between CUDA events: what is timed is the
    device's work, or the host's where that takes longer.
    """
    torch.cuda.synchronize()
    return time.perf_counter()


@dataclass(frozen=True)
class Ratio:
    """A contender's time over the reference's.

    Attributes:
        low: First quartile of the ratio over the rounds.
        median: Its median.
        high: Its third quartile.
        seconds: Median seconds per step of the contender.
        rounds: Number of rounds.
    """

    low: float
    median: float
    high: float
    seconds: float
    rounds: int


def ratios(
    steps: Mapping[str, Callable[[], object]],
    reference: str,
    seconds: float,
    *,
    periods: Mapping[str, int] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    rounds: tuple[int, int] = (FEWEST, MOST),
) -> dict[str, Ratio]:
    """Times steps against a reference.

    In each round everyone is timed once, back to back and in random order, and divided by that
    round's reference: a machine that slows down or speeds up in the course of minutes changes both
    alike.

    Args:
        steps: What is timed, by name.
        reference: One of them.
        seconds: Time for all rounds together, after the warm-up.
        periods: After how many steps the cost of one repeats, where that is not 1.
        clock: Seconds.
        rounds: The fewest and the most, whatever `seconds` says.
    """
    for _ in range(2):  # allocator, thread pools, the optimizer's state
        for step in steps.values():
            step()
    repeat = math.ceil(MEASURE / max(_run(steps[reference], 1, clock), 1e-6))
    number = {}
    for name in steps:
        period = (periods or {}).get(name, 1)
        number[name] = period * math.ceil(repeat / period)
    order, times, start = random.Random(0), {name: [] for name in steps}, time.perf_counter()
    names = list(steps)
    while len(times[reference]) < rounds[1]:
        order.shuffle(names)
        gc.collect()
        gc.disable()
        for name in names:
            times[name].append(_run(steps[name], number[name], clock) / number[name])
        gc.enable()
        if len(times[reference]) >= rounds[0] and time.perf_counter() - start > seconds:
            break
    return {name: _ratio(seconds_each, times[reference]) for name, seconds_each in times.items()}


def _run(step: Callable[[], object], number: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(number):
        step()
    return clock() - start


def _ratio(times: Sequence[float], reference: Sequence[float]) -> Ratio:
    low, median, high = np.quantile(np.divide(times, reference), [0.25, 0.5, 0.75])
    return Ratio(float(low), float(median), float(high), float(np.median(times)), len(times))
