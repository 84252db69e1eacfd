"""Files: complete or absent, private, never through a planted link."""

from __future__ import annotations

import os
import secrets
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mmpareto._storage._files import clear_leftovers, open_to_continue, write_atomically
from mmpareto._storage._folders import make_folder, make_inside
from mmpareto.errors import MMParetoError


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "precious.txt"
    mine.write_text("precious")
    (tmp_path / "results.csv").symlink_to(mine)
    write_atomically(tmp_path / "results.csv", "other")
    assert mine.read_text() == "precious"
    assert not (tmp_path / "results.csv").is_symlink()
    assert (tmp_path / "results.csv").read_text() == "other"


@pytest.mark.parametrize("plant", ["link", "dangling", "file"])
def test_what_is_planted_under_the_temporary_name_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: str
) -> None:
    mine = tmp_path / "precious.txt"
    mine.write_text("precious")
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0" * 2 * size)
    planted = tmp_path / f".mmpareto-{'0' * 32}.tmp"
    if plant == "file":
        planted.write_text("planted")
    else:
        planted.symlink_to(mine if plant == "link" else tmp_path / "absent")
    with pytest.raises(MMParetoError, match=r"results\.csv should be a file that can be written"):
        write_atomically(tmp_path / "results.csv", "other")
    assert mine.read_text() == "precious"
    assert not (tmp_path / "absent").exists()
    assert not (tmp_path / "results.csv").exists()


def test_temporary_names_cannot_be_foretold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    opened = os.open

    def record(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            names.append(Path(path).name)
            assert flags & os.O_EXCL
            assert flags & os.O_NOFOLLOW
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", record)
    for _ in range(3):
        write_atomically(tmp_path / "a.csv", "content")
    assert len(set(names)) == 3
    assert all(str(os.getpid()) not in name.split("-") for name in names)


def test_files_and_folders_are_the_users_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a" / "b")
    write_atomically(folder / "c.csv", "content")
    for path, mode in ((folder, 0o700), (folder.parent, 0o700), (folder / "c.csv", 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_writers_at_once_leave_one_of_their_contents(tmp_path: Path) -> None:
    path, size = tmp_path / "f.csv", 300_000
    write_atomically(path, "a" * size)

    def write(letter: str) -> None:
        for _ in range(10):
            write_atomically(path, letter * size)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        text = path.read_text()
        assert (len(text), len(set(text))) == (size, 1)
    assert list(tmp_path.iterdir()) == [path]


def test_only_old_leftovers_are_cleared(tmp_path: Path) -> None:
    old, young, other = (
        tmp_path / name for name in (".mmpareto-1.tmp", ".mmpareto-2.tmp", ".other.tmp")
    )
    for path in (old, young, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    clear_leftovers(tmp_path)
    assert {path for path in (old, young, other) if path.exists()} == {young, other}


def test_a_folder_is_not_made_through_the_link_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "elsewhere")
    make_folder(tmp_path / "runs" / "mine")  # through one's own it is
    user = os.geteuid()
    owners = {tmp_path / "runs": user + 1}
    status = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        values = list(status(path))
        values[stat.ST_UID] = owners.get(path, values[stat.ST_UID])
        return os.stat_result(values)

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(MMParetoError, match=r"Found the link .*runs, which another user"):
        make_folder(tmp_path / "runs" / "other")
    assert not (tmp_path / "elsewhere" / "other").exists()


def test_a_folder_of_results_is_not_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").mkdir()
    assert make_inside(tmp_path / "out", "runs", "first").is_dir()
    (tmp_path / "out" / "logs").symlink_to(tmp_path / "precious")
    with pytest.raises(MMParetoError, match=r"out/logs should be a folder\. Found a link"):
        make_inside(tmp_path / "out", "logs", "csv")
    assert not list((tmp_path / "precious").iterdir())


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_what_is_continued_is_a_file_of_ones_own(
    plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    with open_to_continue(tmp_path / "file") as file:
        file.write(b"some")
    with open_to_continue(tmp_path / "file") as file:
        file.write(b" more")
    assert (tmp_path / "file").read_bytes() == b"some more"
    plant(tmp_path / "planted", tmp_path / "file")
    with pytest.raises(MMParetoError, match=r"planted should be a file that this program wrote"):
        open_to_continue(tmp_path / "planted")
    assert (tmp_path / "file").read_bytes() == b"some more"
