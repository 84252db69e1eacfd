"""What is held out of the training part, and the trainings that come before others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightning
import pytest
import torch

from mmpareto import balancing, recipes
from mmpareto.balancing import Joint, Relearning
from mmpareto.compare._table import _notes
from mmpareto.data import EpochIndices
from mmpareto.errors import MMParetoError
from mmpareto.models import LateFusionCNN
from mmpareto.training import load_run
from mmpareto.training._building import build_model
from mmpareto.training._held_out import learning_parts
from mmpareto.training._survey import Surveyor
from mmpareto.training.run import run
from training.made_data import Made

CONFIG = replace(
    recipes.cg_digits(), data=Made(), model=LateFusionCNN(width=2), epochs=2, batch_size=16
)


def test_parts_are_disjoint_and_make_up_the_training_part() -> None:
    train = Made().load().train
    learned, held_out = learning_parts(replace(CONFIG, method=Relearning()), train)
    assert held_out is not None
    assert (len(learned), len(held_out)) == (len(train) - len(train) // 10, len(train) // 10)
    ids = [*learned[list(range(len(learned)))]["id"], *held_out[:]["id"]]
    assert sorted(ids) == sorted(train[list(range(len(train)))]["id"])
    assert learning_parts(CONFIG, train) == (train, None)
    assert learning_parts(replace(CONFIG, hold_out=True), train)[1] is not None


def test_samples_of_a_part_are_changed_at_random_as_those_of_the_whole() -> None:
    train = Made().load().train
    learned, _ = learning_parts(replace(CONFIG, hold_out=True), train)
    number = learned.numbers[3]
    drawn, whole = EpochIndices([3], 5, 1), EpochIndices([number], 5, 1)
    for index in ([3], slice(3, 4), torch.tensor([3])):
        assert learned[index]["id"] == train[[number]]["id"]
    for modality, values in learned[drawn]["inputs"].items():
        assert torch.equal(values, train[whole]["inputs"][modality])


def test_a_model_trains_on_after_a_survey_that_ends_early() -> None:
    model = build_model(CONFIG)
    views = Surveyor(CONFIG, CONFIG.data.load().train).read(model, "train")
    next(views)
    assert not model.training
    views.close()
    assert all(module.training for module in model.modules())


def test_initial_weights_are_drawn_again_and_nothing_else_is() -> None:
    config = replace(CONFIG, seed=7)
    lightning.seed_everything(7, verbose=False)
    first = build_model(config).state_dict()
    following = torch.rand(3)
    again = Surveyor(config, config.data.load().train).initial()
    assert all(map(torch.equal, first.values(), again.values()))
    lightning.seed_everything(7, verbose=False)
    build_model(config)
    assert torch.equal(torch.rand(3), following)


def test_a_survey_leaves_the_model_in_the_mode_that_it_had() -> None:
    model = build_model(CONFIG).train()
    model.encoders["image"].eval()
    modes = [module.training for module in model.modules()]
    surveyor = Surveyor(CONFIG, CONFIG.data.load().train)
    for view in surveyor.read(model, "train"):
        assert not model.training
        assert not view.logits["joint"].requires_grad
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(MMParetoError, match="held-out"):
        next(surveyor.read(model, "held-out"))


def test_encoders_are_set_back_in_the_epochs_that_are_given(tmp_path: Path) -> None:
    base = replace(CONFIG, hold_out=True, method=Joint())
    run(base, tmp_path / "joint", progress=False)
    run(replace(base, method=Relearning(epochs=(5,))), tmp_path / "never", progress=False)
    run(replace(base, method=Relearning(epochs=(1,))), tmp_path / "once", progress=False)
    models = [load_run(tmp_path / name)[1].state_dict() for name in ("joint", "never", "once")]
    assert all(map(torch.equal, models[0].values(), models[1].values()))
    assert not all(map(torch.equal, models[0].values(), models[2].values()))


def test_several_processes_are_refused_where_trainings_come_first(tmp_path: Path) -> None:
    config = replace(CONFIG, method=balancing.UMT(), devices=2)
    with pytest.raises(MMParetoError, match="2 processes for umt"):
        run(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_tables_say_who_learns_from_what_is_held_out() -> None:
    assert "held out for relearning, which" in _notes(["uniform", "relearning"], 1)
    assert "held out" not in _notes(["uniform", "mmpareto"], 1)
