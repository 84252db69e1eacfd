"""A folder keeps results of one state of the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from manifests import manifest, notes

from mmpareto.balancing import MMPareto
from mmpareto.compare import compare
from mmpareto.data import CREMAD, KineticsSounds
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import RunConfig, load_run
from mmpareto.training.run import run

CHANGED = "the table or lists of manifest have changed since"


def config(folder: Path, count: int) -> RunConfig:
    return RunConfig(
        manifest(folder, notes(count)), MMPareto(), LateFusionCNN(width=2), epochs=1, batch_size=4
    )


def test_a_training_on_another_table_is_neither_returned_nor_evaluated(tmp_path: Path) -> None:
    first = run(config(tmp_path, 24), tmp_path / "run", progress=False)
    another = config(tmp_path, 32)
    with pytest.raises(MMParetoError, match=CHANGED):
        run(another, tmp_path / "run", progress=False)
    with pytest.raises(MMParetoError, match=CHANGED):
        load_run(tmp_path / "run")
    assert run(config(tmp_path, 24), tmp_path / "run", progress=False) == first


def test_a_comparison_is_not_continued_with_another_table(tmp_path: Path) -> None:
    heard: list[str] = []

    def go_on(count: int, methods: Sequence[str], seeds: int) -> None:
        base = config(tmp_path, count)
        assert not compare(
            base,
            methods,
            seeds,
            tmp_path / "out",
            jobs=1,
            listener=lambda _, how: heard.append(how),
        )

    go_on(24, ["joint"], seeds=1)
    for methods, seeds in ((["joint"], 2), (["uniform"], 1)):  # of the second, no result is there
        with pytest.raises(MMParetoError, match=CHANGED):
            go_on(32, methods, seeds)
    go_on(24, ["joint", "uniform"], seeds=1)
    assert heard == ["done", "done before", "done"]


@pytest.mark.parametrize("recipe", [CREMAD, KineticsSounds])
def test_lists_are_part_of_the_data(recipe: type[CREMAD | KineticsSounds], tmp_path: Path) -> None:
    states = []
    for text in ("a,1\n", "b,1\n", "a,1\n"):
        (tmp_path / "train.csv").write_text(text)
        states.append(recipe("root", split=tmp_path).fingerprint)
    assert states[0] == states[2] != states[1]
