"""Caches in places where others may write, and caches of which a bit has changed."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from mirrors import mirror

from data.caches import Folder, store, stored, texts
from mmpareto.data.caching._cache import cache_folder
from mmpareto.data.caching._download import download
from mmpareto.errors import MMParetoError

PRECIOUS = "precious\n" * 100


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path)


@pytest.mark.parametrize("file", ["data", "journal"])
def test_no_bit_that_changes_gives_other_values(file: str, folder: Folder) -> None:
    sources = folder.write("zero", "bad", "two", "broken")
    before = texts(folder.open(sources))
    whole, chance = stored(), random.Random(0)
    for position in range(len(whole[file])):
        changed = bytearray(whole[file])
        changed[position] ^= 1 << chance.randrange(8)
        (store() / file).write_bytes(changed)
        cache = folder.open(sources)
        assert texts(cache) == before, position
        assert cache.damaged == {1: "is bad", 3: "cannot be read: Input/output error"}
        assert stored() == whole
        del cache


def test_what_is_made_is_the_users_alone(folder: Folder) -> None:
    former = os.umask(0)
    try:
        folder.open(folder.write("some"))
    finally:
        os.umask(former)
    for path in (cache_folder(), *cache_folder().rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def linked(place: Path, target: Path) -> None:
    place.symlink_to(target)


def linked_hard(place: Path, target: Path) -> None:
    place.hardlink_to(target)


@pytest.mark.parametrize("plant", [linked, linked_hard])
@pytest.mark.parametrize("name", [".lock", "STORE", "STORE.part", "STORE.part/data", "STORE.old"])
def test_no_planted_link_is_followed(
    plant: Callable[[Path, Path], None], name: str, folder: Folder, tmp_path: Path
) -> None:
    """Whoever can foretell the names puts links into the place of what will be written."""
    sources = folder.write("some", "more")
    before = texts(folder.open(sources))
    made = store()
    cache, place = made.parent, made.parent / name.replace("STORE", made.name)
    for path in made.iterdir():
        path.unlink()
    made.rmdir()
    precious = tmp_path / "precious"
    precious.mkdir()
    target = precious / "file"
    target.write_text(PRECIOUS)
    place.parent.mkdir(exist_ok=True)
    is_folder = name.startswith("STORE") and "/" not in name and plant is linked
    plant(place, precious if is_folder else target)
    message = ""
    try:
        assert texts(folder.open(sources)) == before
    except MMParetoError as error:
        message = str(error)
        place.unlink()
        assert texts(folder.open(sources)) == before
    assert not message or (message.startswith(str(cache)) and "\n" not in message)
    assert target.read_text() == PRECIOUS
    assert [path.name for path in precious.iterdir()] == ["file"]


@pytest.mark.parametrize("size", [1, 2000])
def test_a_download_follows_no_planted_link(size: int, tmp_path: Path) -> None:
    precious, data, content = tmp_path / "precious", tmp_path / "data", bytes(size)
    precious.write_text(PRECIOUS)
    data.mkdir()
    (data / "file.part").symlink_to(precious)
    sha256 = hashlib.sha256(content).hexdigest()
    with mirror(files={"file": content}) as server:
        if size > len(PRECIOUS):  # else there is nothing to add to it
            with pytest.raises(MMParetoError, match=r"file\.part should be a file .* Found a link"):
                download("file", sha256, [server.address], data)
            (data / "file.part").unlink()
        assert download("file", sha256, [server.address], data).read_bytes() == content
    assert precious.read_text() == PRECIOUS
