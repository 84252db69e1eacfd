"""Arrays in NumPy's files become single precision; nothing else is read."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from data.media import (
    write_array,
)
from mmpareto.data.caching._cache import Unreadable
from mmpareto.data.media._array import ArrayDecoder


@pytest.mark.parametrize("dtype", ["f4", ">f8", "u1", "i8", "?", "f2"])
def test_arrays_become_single_precision(dtype: str, tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for stored in (array, np.asfortranarray(array)):
        found = ArrayDecoder((2, 3))(write_array(tmp_path / "array.npy", stored))
        assert (found.dtype, type(found)) == (np.float32, np.ndarray)
        np.testing.assert_array_equal(found, array.astype(np.float32))


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    harm, path = tmp_path / "harm", tmp_path / "array.npy"
    for write in (
        lambda: write_array(path, np.array([Malicious(harm)], object)),
        lambda: path.write_bytes(pickle.dumps(Malicious(harm))),
    ):
        write()
        with pytest.raises(Unreadable, match="is no array in NumPy's format"):
            ArrayDecoder((1,))(path)
    assert not harm.exists()
    pickle.loads(path.read_bytes())
    assert harm.exists(), "the file does what it should not get a chance to do"


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(3), r"has shape \(3,\), not \(2,\)"),
        (np.array([1, np.nan]), "not finite"),
        (np.array([1, 1e39]), "not finite in single"),
        (np.array([1j, 2]), "holds complex128"),
        (np.array(["a", "b"]), "holds <U1"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=reason):
        ArrayDecoder((2,))(write_array(tmp_path / "array.npy", array))


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    with pytest.raises(Unreadable, match="archive of arrays"):
        ArrayDecoder((2,))(tmp_path / "arrays.npz")


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
        )
    with pytest.raises(Unreadable, match="is no array"):
        ArrayDecoder((10**12,))(path)
