"""Downloads from a real server on this machine: what arrives is right, and what has arrived is not
asked for again.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pooch
import pytest
from mirrors import Mirror, dead_address, mirror

from mmpareto.data.caching._download import download
from mmpareto.errors import MMParetoError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = 131_072  # a multiple of what is written at a time


@pytest.fixture
def server() -> Iterator[Mirror]:
    with mirror(files={"file": CONTENT}) as served:
        yield served


def test_a_file_is_fetched_once_and_told_of_on_the_way(server: Mirror, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = download(
        "file", SHA256, [server.address], tmp_path / "new", lambda *call: told.append(call)
    )
    assert path == tmp_path / "new" / "file"
    assert path.read_bytes() == CONTENT
    assert told[-1] == ("file, kB", 300, 300)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert {total for _, _, total in told} == {300}
    download("file", SHA256, [server.address], tmp_path / "new")
    assert server.requests == [("file", None)]
    assert {file.name for file in path.parent.iterdir()} == {"file"}


def test_what_has_been_changed_since_is_fetched_again(server: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    assert download("file", SHA256, [server.address], tmp_path).read_bytes() == CONTENT


def test_after_a_lost_connection_the_same_call_asks_for_the_rest(
    server: Mirror, tmp_path: Path
) -> None:
    server.cut["file"] = HALF
    with pytest.raises(MMParetoError, match="the connection was lost"):
        download("file", SHA256, [server.address], tmp_path)
    assert not (tmp_path / "file").exists()
    server.cut.clear()
    told: list[int] = []
    path = download(
        "file", SHA256, [server.address], tmp_path, lambda what, done, total: told.append(done)
    )
    assert path.read_bytes() == CONTENT
    assert server.requests == [("file", None), ("file", f"bytes={HALF}-")]
    assert told[0] > 131


def test_the_next_mirror_gives_the_rest(server: Mirror, tmp_path: Path) -> None:
    with mirror(files={"file": CONTENT}, cut={"file": HALF}) as cut:
        path = download("file", SHA256, [cut.address, server.address], tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.requests == [("file", f"bytes={HALF}-")]


def test_a_killed_download_continues(server: Mirror, tmp_path: Path) -> None:
    call = (
        "import os, sys; from pathlib import Path; from mmpareto.data.caching._download import "
        "download\ndie = lambda what, done, total: done >= 150 and os._exit(9)\n"
        "download('file', sys.argv[1], [sys.argv[2]], Path(sys.argv[3]), die)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", call, SHA256, server.address, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert killed.returncode == 9
    assert not (tmp_path / "file").exists()
    assert download("file", SHA256, [server.address], tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("there", [CONTENT, b"x" * HALF, b"x" * len(CONTENT), CONTENT + b"x"])
def test_whatever_an_earlier_call_left_the_file_is_right(
    there: bytes, server: Mirror, tmp_path: Path
) -> None:
    (tmp_path / "file.part").write_bytes(there)
    assert download("file", SHA256, [server.address], tmp_path).read_bytes() == CONTENT
    assert len(server.requests) <= 2


def test_a_server_that_knows_no_ranges_gives_all_of_it(server: Mirror, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "file.part").write_bytes(CONTENT[:HALF])
    assert download("file", SHA256, [server.address], tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_mirrors_are_tried_in_turn(server: Mirror, tmp_path: Path) -> None:
    with mirror(files={"file": b"another"}) as wrong, mirror() as empty:
        mirrors = [dead_address(), empty.address, wrong.address, server.address]
        assert download("file", SHA256, mirrors, tmp_path).read_bytes() == CONTENT


def test_without_any_mirror_each_is_named_with_its_fault_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"older")
    with mirror(files={"file": b"another"}) as wrong, mirror() as empty:
        mirrors = [dead_address(), empty.address, wrong.address]
        with pytest.raises(MMParetoError) as caught:
            download("file", SHA256, mirrors, tmp_path)
    dead, missing, other = mirrors
    for part in (
        "file should come from one of 3 mirrors",
        f"{dead}: no connection; {missing}: HTTP status 404; {other}: a file of another checksum.",
        f"put the file into {tmp_path}",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_bytes() == b"older"


def test_others_wait_as_long_as_it_arrives(server: Mirror, tmp_path: Path) -> None:
    def told(what: str, done: int, total: int) -> None:
        with (tmp_path / ".lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    download("file", SHA256, [server.address], tmp_path, told)
    assert not (tmp_path / ".lock").exists()


def test_processes_that_ask_at_once_fetch_it_once(server: Mirror, tmp_path: Path) -> None:
    call = (
        "import sys; from pathlib import Path; from mmpareto.data.caching._download import "
        "download\nprint(download('file', sys.argv[1], [sys.argv[2]], "
        "Path(sys.argv[3])).stat().st_size)"
    )
    command = [sys.executable, "-c", call, SHA256, server.address, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in started] == ["300000", "300000"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("level", [logging.INFO, logging.CRITICAL])
def test_the_log_of_pooch_is_as_before(level: int, server: Mirror, tmp_path: Path) -> None:
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(level)
    levels: list[int] = []
    try:
        tell = lambda what, done, total: levels.append(logger.level)  # noqa: E731
        download("file", SHA256, [server.address], tmp_path, tell)
        assert set(levels) == {logging.ERROR}
        assert logger.level == level
        with pytest.raises(MMParetoError):
            download("none", SHA256, [server.address], tmp_path)
        assert logger.level == level
    finally:
        logger.setLevel(before)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(MMParetoError, match=r"Found .*taken.* MMPARETO_CACHE"):
        download("file", SHA256, [], tmp_path / "taken" / "mnist")


def test_without_pooch_the_command_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MMParetoError, match=r"pip install 'mmpareto\[data\]'"):
        download("file", SHA256, [], tmp_path)
