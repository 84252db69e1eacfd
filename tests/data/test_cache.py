"""Caches: what is decoded is decoded once."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data.caches import Folder, store, stored, texts
from mmpareto.data.caching._cache import Decoder, Source, cache_folder, cached
from mmpareto.errors import MMParetoError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path)


def test_each_file_is_decoded_once(folder: Folder) -> None:
    sources = folder.write("some", "", "longer " * 100)
    assert texts(folder.open(sources)) == ["some", "", "longer " * 100]
    assert folder.decoded() == ["0", "1", "2"]
    assert texts(folder.open(sources)) == ["some", "", "longer " * 100]
    assert folder.decoded() == []


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        np.float64(3.5).reshape(()),
        np.zeros((2, 0, 3), np.int16),
        np.arange(12).reshape(3, 4).T,
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
    ],
)
def test_arrays_of_any_shape_come_back(array: np.ndarray, folder: Folder) -> None:
    first, second = folder.write("a", "b")
    made = cached("test", [first, second], Stored(array.dtype.str, array.shape, array.tolist()))
    for item in made:
        assert item is not None
        assert (item.dtype, item.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(item, array)
        assert item.flags.aligned
        assert item.size == 0 or not (item.flags.writeable or item.flags.owndata)


@dataclass(frozen=True)
class Stored(Decoder):
    """The same array for any file."""

    version = 1

    dtype: str
    shape: tuple[int, ...]
    values: object

    def __call__(self, path: Path) -> np.ndarray:
        return np.array(self.values, self.dtype).reshape(self.shape)


def test_a_cache_is_a_sequence(folder: Folder) -> None:
    cache = folder.open(folder.write("a", "b", "c"))
    assert len(cache) == 3
    assert texts(cache[1:]) == ["b", "c"]
    assert texts([cache[-1]]) == ["c"]
    with pytest.raises(IndexError):
        cache[3]
    assert len(folder.open([])) == 0


def test_a_pickle_is_small_and_opens_again(folder: Folder) -> None:
    cache = folder.open(folder.write(*("x" * 1000 for _ in range(100))))
    assert cache[5] is not None
    pickled = pickle.dumps(cache)
    assert len(pickled) < 1000
    assert texts(pickle.loads(pickled)) == texts(cache)


def test_damaged_and_missing_files_are_named_and_the_rest_goes_on(folder: Folder) -> None:
    sources = [
        *folder.write("good", "bad"),
        Source("none", folder.files / "none"),
        folder.source("3.txt", "fine"),
    ]
    sources += [Source("x", folder.files / ("x" * 300)), folder.source("5.txt", "broken")]
    for _ in range(2):
        cache = folder.open(sources)
        assert texts(cache) == ["good", None, None, "fine", None, None]
        missing, broken = "no such file", "cannot be read: Input/output error"
        assert cache.damaged == {1: "is bad", 2: missing, 4: missing, 5: broken}
    assert folder.decoded() == [
        "0",
        "1",
        "3",
        "5",
        "5",
    ]  # what may be readable the next time is tried again


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_could_not_be_read_for_a_time_is_not_damaged_for_ever(
    workers: int, folder: Folder
) -> None:
    sources = folder.write("good", "broken", "bad", "last")
    for again in (["0", "1", "2", "3"], ["1"]):
        assert list(folder.open(sources, workers=workers).damaged) == [1, 2]
        assert folder.decoded() == again
    at_work = folder.open(sources)
    assert list(at_work.damaged) == [1, 2]
    seen = sources[1].path.stat()
    sources[1].path.write_text("mended")
    os.utime(sources[1].path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    folder.decoded()
    for again in ({"1"}, set()):
        assert texts(folder.open(sources, workers=workers)) == ["good", "mended", None, "last"]
        assert set(folder.decoded()) == again
    assert texts(at_work) == ["good", None, None, "last"]
    assert texts(pickle.loads(pickle.dumps(at_work)))[::3] == ["good", "last"]
    store()  # alone


def test_a_mended_file_is_taken_into_another_list_of_sources(folder: Folder) -> None:
    sources = folder.write("good", "broken")
    folder.open(sources)
    seen = sources[1].path.stat()
    sources[1].path.write_text("mended")
    os.utime(sources[1].path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    folder.decoded()
    assert texts(folder.open(sources[::-1])) == ["mended", "good"]
    assert folder.decoded() == ["1"]


@pytest.mark.parametrize("workers", [0, 2])
def test_bugs_are_not_taken_for_damage(workers: int, folder: Folder) -> None:
    with pytest.raises(TypeError, match="a bug") as raised:
        folder.open(folder.write("good", "bug"), workers=workers)
    assert raised.value.__notes__ == [f"This happened while {folder.files / '1.txt'} was decoded."]


def test_negative_workers_are_refused(folder: Folder) -> None:
    with pytest.raises(MMParetoError, match=r"`workers` should not be negative\. Found -1"):
        folder.open(folder.write("a"), workers=-1)


def test_progress_is_told(folder: Folder) -> None:
    told: list[tuple[str, int, int]] = []
    sources = folder.write("a", "b")
    folder.open(sources, progress=lambda *numbers: told.append(numbers))
    assert told == [("test", 0, 2), ("test", 1, 2), ("test", 2, 2)]
    folder.open(sources, progress=lambda *numbers: told.append(numbers))
    assert len(told) == 3


def test_several_processes_give_the_same_bytes(folder: Folder) -> None:
    sources = folder.write(
        *("bad" if number == 7 else str(number) * number for number in range(30))
    )
    folder.open(sources)
    alone = stored()
    (store() / "data").unlink()
    folder.decoded()
    assert texts(folder.open(sources, workers=2))[:3] == ["", "1", "22"]
    assert stored() == alone
    assert not [
        call for call in folder.calls.iterdir() if call.name.split("-")[1] == str(os.getpid())
    ]


def test_a_cache_that_cannot_be_written_says_what_to_set(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = folder.write("some")
    monkeypatch.setenv("MMPARETO_CACHE", str(source.path / "below a file"))
    with pytest.raises(MMParetoError, match=r"0\.txt.*Not a directory.*MMPARETO_CACHE"):
        folder.open([source])


def test_the_cache_is_in_the_home_folder_unless_stated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MMPARETO_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "mmpareto"
    monkeypatch.setenv("MMPARETO_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
