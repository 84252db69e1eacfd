"""The results of a comparison: one number per data set, method, seed, split and metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mmpareto._storage._csv import read_records, write_records
from mmpareto.compare._roles import in_order
from mmpareto.errors import MMParetoError
from mmpareto.partition import JOINT
from mmpareto.specs import Classes, Labels, Number

_CONFLICT_RATE = "conflict_rate/"


@dataclass(frozen=True)
class Result:
    """One measured number.

    Args:
        dataset: Name of the data set.
        method: Name of the balancing method.
        seed: Seed of the training.
        split: ``"train"``, ``"val"`` or ``"test"``.
        metric: ``"joint_accuracy"``, ``"{modality}_accuracy"`` (fractions; of targets that are no
            classes the name of their own metric), ``"conflict_rate/{modality}"`` (fraction of the
            measured steps), ``"seconds"`` (wall-clock), ``"epoch"``.
        value: The number; NaN where it is not defined.
    """

    dataset: str
    method: str
    seed: int
    split: str
    metric: str
    value: float


def read_results(path: str | Path) -> list[Result]:
    """Reads ``results.csv``.

    Args:
        path: A file with the columns ``dataset,method,seed,split,metric,value``.

    Returns:
        The results, in the file's order.

    Raises:
        MMParetoError: If the file cannot be read, a row is malformed, or two rows give the same
            number.
    """
    path = Path(path)
    results = read_records(path, Result)
    seen: dict[Result, int] = {}
    for row, result in enumerate(results, start=2):
        key = replace(result, value=0.0)
        if key in seen:
            raise MMParetoError(
                f"{path}, row {row}: expected each dataset, method, seed, split and metric once. "
                f"Found those of row {seen[key]} again. Remove one of the two."
            )
        seen[key] = row
    return results


def write_results(path: str | Path, results: Iterable[Result]) -> None:
    """Writes ``results.csv``, replacing the file in one step; reading gives back the same numbers.

    Args:
        path: The file, in a folder that exists.
        results: What to write, in this order.

    Raises:
        MMParetoError: If the file cannot be written.
    """
    write_records(Path(path), Result, results)


def values(
    results: Iterable[Result], method: str, metric: str, split: str = "test"
) -> dict[int, float]:
    """One metric of one method, by seed in ascending order.

    Args:
        results: Results on one data set.
        method: The method.
        metric: The metric.
        split: The split.

    Returns:
        Seed -> value; empty where there is none.

    Raises:
        MMParetoError: If there are two values for one seed, as with results on several data sets.

    Example:
        >>> result = Result("cg-digits", "uniform", 0, "test", "joint_accuracy", 0.75)
        >>> values([result], "uniform", "joint_accuracy")
        {0: 0.75}
    """
    wanted = (method, metric, split)
    selected = [r for r in results if (r.method, r.metric, r.split) == wanted]
    by_seed = {r.seed: r.value for r in selected}
    if len(by_seed) < len(selected):
        names = sorted({f"'{r.dataset}'" for r in selected})
        raise MMParetoError(
            f"`results` should hold one {split} {metric} of '{method}' per seed. Found several, on "
            f"{', '.join(names)}. Report one data set at a time."
        )
    return dict(sorted(by_seed.items()))


class Score(NamedTuple):
    """What models are compared by.

    Args:
        metric: Its name in files.
        title: Its name in sentences.
    """

    metric: str
    title: str


_TITLES = {target.metric: target.title for target in (Classes, Labels, Number)}


def score_of(results: Iterable[Result]) -> Score:
    """What the results are given in: the metric of the joint predictions.

    It is accuracy where there is none.
    """
    metrics = []
    for result in results:
        objective, _, metric = result.metric.partition("_")
        if objective == JOINT and metric:
            metrics.append(metric)
    metric = min(metrics, key=len, default=Classes.metric)  # a modality may be called joint_eyes
    return Score(metric, title_of(metric))


def title_of(metric: str) -> str:
    """The name in sentences of a score that has this name in files."""
    return _TITLES.get(metric, metric)


def scores(results: Sequence[Result], method: str, objective: str = JOINT) -> dict[int, float]:
    """The test scores of one method, by seed in ascending order.

    Args:
        results: Results on one data set.
        method: The method.
        objective: ``"joint"`` or a modality.

    Returns:
        Seed -> score.

    Raises:
        MMParetoError: As `values`.
    """
    return values(results, method, f"{objective}_{score_of(results).metric}")


def methods(results: Iterable[Result]) -> list[str]:
    """The methods in the order of the tables: the library's own, then others by name."""
    return in_order({result.method for result in results})


def measured(results: Sequence[Result], objective: str = JOINT) -> list[str]:
    """The methods that have a test score of an objective, in the order of the tables."""
    return [name for name in methods(results) if scores(results, name, objective)]


def modalities(results: Sequence[Result]) -> list[str]:
    """The modalities that have a score or a conflict rate, in the order in which they appear."""
    ending = f"_{score_of(results).metric}"
    scored, measured = [], []
    for metric in dict.fromkeys(result.metric for result in results):
        if metric.startswith(_CONFLICT_RATE):
            measured.append(metric.removeprefix(_CONFLICT_RATE))
        elif metric.endswith(ending) and metric != f"{JOINT}{ending}":
            scored.append(metric.removesuffix(ending))
    return list(dict.fromkeys(scored + measured))
