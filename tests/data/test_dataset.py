"""What indexes a data set, whatever it holds."""

from __future__ import annotations

import pickle

import pytest
import torch

from mmpareto.data import CGDigits, EpochIndices


def test_a_slice_keeps_the_seed_and_the_epoch() -> None:
    indices = EpochIndices([3, 1, 4, 1, 5], seed=2, epoch=7)
    assert indices[1:4] == EpochIndices([1, 4, 1], seed=2, epoch=7)
    assert indices[::-2] == EpochIndices([5, 4, 3], seed=2, epoch=7)
    assert indices[:0] == EpochIndices([], seed=2, epoch=7)
    assert (indices[-1], len(indices), list(indices)) == (5, 5, [3, 1, 4, 1, 5])
    assert pickle.loads(pickle.dumps(indices)) == indices
    with pytest.raises(IndexError):
        indices[5]


@pytest.mark.parametrize("numbers", [[], [3], [3, 1, 1], list(range(100))])
def test_data_that_is_not_augmented_is_the_same_by_lists_and_by_epoch_indices(
    numbers: list[int],
) -> None:
    dataset = CGDigits().load().train
    expected, found = dataset[numbers], dataset[EpochIndices(numbers, seed=1, epoch=2)]
    assert expected.keys() == found.keys()
    for name, inputs in expected["inputs"].items():
        assert torch.equal(inputs, found["inputs"][name])
    assert torch.equal(expected["label"], found["label"])
    assert torch.equal(expected["id"], found["id"])
