"""Caches whose files, settings or own bytes have changed."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data.caches import Counting, Folder, store, stored, texts
from mmpareto.data.caching._cache import Decoder, Source, cache_folder, cached
from mmpareto.data.caching._journal import Entry
from mmpareto.errors import MMParetoError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path)


def touch(path: Path) -> None:
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda folder, sources: folder.source("1.txt", "other"), ["1"]),
        (lambda folder, sources: touch(sources[1].path), ["1"]),
        (lambda folder, sources: sources.insert(0, folder.source("new.txt", "new")), ["new"]),
        (lambda folder, sources: sources.reverse(), []),
        (lambda folder, sources: sources.pop(), []),
        (lambda folder, sources: sources.append(sources[0]), []),
        (lambda folder, sources: sources[1].path.unlink(), []),
    ],
    ids=["content", "time", "added", "order", "removed", "twice", "deleted"],
)
def test_what_changed_is_decoded_anew(
    change: Callable[[Folder, list[Source]], object], again: list[str], folder: Folder
) -> None:
    sources = folder.write("zero", "one", "two")
    old = folder.open(sources)
    before = texts(old)
    folder.decoded()
    change(folder, sources)
    cache = folder.open(sources)
    assert texts(cache) == [s.path.read_text() if s.path.exists() else None for s in sources]
    assert folder.decoded() == again
    assert texts(old) == before, "what was open stays readable"
    assert texts(pickle.loads(pickle.dumps(old))) == before, "in workers that begin now, too"
    del old, cache
    folder.open([*sources, folder.source("last.txt", "last")])
    store()  # alone


def test_journals_that_were_written_before_can_be_read() -> None:
    """Lines of the form that caches on people's disks have."""
    end = b'"dtype": "|u1", "shape": [0], "checksum": 0'
    damaged = b'{"source": "a: 1 files", "reason": "is bad", ' + end + b"}\n"
    missing = b'{"source": "b: missing", "reason": "no such file", ' + end + b', "passing": true}\n'
    array = b'{"source": "c", "reason": "", "dtype": "<f4", "shape": [2, 3], "checksum": 5}\n'
    entries = [Entry.parse(line) for line in (damaged, missing, array)]
    assert [entry.line() for entry in entries] == [damaged, missing, array]
    assert [entry.temporary for entry in entries] == [False, True, False]
    assert (entries[2].shape, entries[2].size) == ((2, 3), 24)
    for other in (b"5\n", b"[]\n", b'{"temporary": true}\n', missing.replace(b"true", b"1")):
        with pytest.raises((TypeError, ValueError)):
            Entry.parse(other)


def test_other_settings_another_version_or_another_folder_make_another_cache(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sources = folder.write("some")
    folder.open(sources)
    wide = cached("test", sources, Counting(str(folder.calls), "u2"))
    assert wide[0] is not None
    assert wide[0].dtype == np.uint16
    monkeypatch.setattr(Counting, "version", 2)
    folder.open(sources)
    moved = Source("0.txt", folder.files.rename(tmp_path / "moved") / "0.txt")
    folder.open([moved])
    assert folder.decoded() == ["0"] * 4
    assert len(list(cache_folder().iterdir())) == 4


def test_a_folder_of_frames_changes_with_its_files(folder: Folder) -> None:
    frames = folder.files / "clip"
    frames.mkdir()
    (frames / "1").write_text("a")
    source, decoder = Source("clip", frames), Listing()
    assert texts(cached("test", [source], decoder)) == ["a"]
    (frames / "2").write_text("b")
    assert texts(cached("test", [source], decoder)) == ["ab"]
    (frames / "1").write_text("c")
    os.utime(frames, ns=(0, 0))
    assert texts(cached("test", [source], decoder)) == ["cb"]


@dataclass(frozen=True)
class Listing(Decoder):
    """What the files in a folder hold."""

    version = 1

    def __call__(self, path: Path) -> np.ndarray:
        return np.frombuffer(
            b"".join(file.read_bytes() for file in sorted(path.iterdir())), np.uint8
        )


@pytest.mark.parametrize("file", ["data", "journal"])
@pytest.mark.parametrize("damage", ["empty", "half", "short", "long", "garbage", "binary", "gone"])
def test_damage_to_the_cache_is_found_and_made_good(file: str, damage: str, folder: Folder) -> None:
    sources = folder.write(*(str(number) * 64 for number in range(8)))
    before = texts(folder.open(sources))
    whole = stored()
    path, content = store() / file, stored()[file]
    lines = content.splitlines(keepends=True)
    garbage = b"".join([*lines[:3], b'{"source": 1}\n', b'["list"]\n', *lines[5:]]) + b"\0" * (
        file == "data"
    )
    damaged = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "short": content[:-1],
        "long": content + b"x",
        "garbage": garbage,
        "binary": bytes(range(256)) * 3,
    }
    path.unlink()
    if damage in damaged:
        path.write_bytes(damaged[damage])
    folder.decoded()
    assert texts(folder.open(sources)) == before
    assert stored()["data"] == whole["data"]
    again = folder.decoded()
    assert bool(again) == (
        damage != "long" and (file, damage) != ("data", "garbage")
    )  # all is there, and more
    assert texts(folder.open(sources)) == before
    assert folder.decoded() == []


def test_a_journal_cannot_ask_for_python_objects(folder: Folder) -> None:
    sources = folder.write("a" * 64)
    folder.open(sources)
    entry = json.loads(stored()["journal"])
    (store() / "journal").write_text(json.dumps(entry | {"dtype": "|O", "shape": [8]}) + "\n")
    assert texts(folder.open(sources)) == ["a" * 64]


def test_bytes_that_changed_in_an_unfinished_cache_are_not_taken_over(folder: Folder) -> None:
    sources = folder.write("a" * 64, "b" * 64, "bug")
    with pytest.raises(TypeError):
        folder.open(sources)
    (unfinished,) = cache_folder().glob("*/*.part")
    (unfinished / "data").write_bytes(b"a" * 64 + b"b" * 63 + b"?")
    folder.decoded()
    seen = sources[2].path.stat()
    sources[2].path.write_text("fix")
    os.utime(sources[2].path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert texts(folder.open(sources)) == ["a" * 64, "b" * 64, "fix"]
    assert folder.decoded() == ["1", "2"]


def test_what_was_removed_from_under_an_open_cache_is_named(folder: Folder) -> None:
    sources = folder.write("a", "b")
    pickled = pickle.dumps(folder.open(sources))
    folder.open(sources[:1])
    with pytest.raises(MMParetoError, match=r"should hold 2 items\. Found 0: .* Start again"):
        pickle.loads(pickled)[0]


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda data: os.truncate(data, 3), lambda data: os.truncate(data, 0)]
)
def test_a_data_file_gone_or_cut_off_is_named(
    damage: Callable[[Path], None], folder: Folder
) -> None:
    cache = folder.open(folder.write("a", "bc", "def"))
    damage(store() / "data")
    with pytest.raises(
        MMParetoError, match=r"should hold 6 bytes\. Found [03]: it was removed .* Start again\.$"
    ):
        cache[2]
