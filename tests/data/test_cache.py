"""Caches: what is decoded is decoded once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mmpareto.data.caching._cache import Cache, Decoder, Source, Unreadable, cache_folder, cached
from mmpareto.data.caching._journal import Entry
from mmpareto.errors import MMParetoError

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Counting(Decoder):
    """The bytes of a file as an array of as many; leaves a file in `calls` for each call.

    A file that says so cannot be read, is a bug to read, ends the process, or is held up until
    `calls` has a file go.
    """

    version = 1

    calls: str = ""
    dtype: str = "u1"

    def __call__(self, path: Path) -> np.ndarray:
        content = path.read_text()
        if self.calls:
            (Path(self.calls) / f"{path.stem}-{os.getpid()}-{uuid.uuid4()}").touch()
        match content.split("!")[0]:
            case "bad":
                raise Unreadable("is bad")
            case "bug":
                raise TypeError("a bug")
            case "end":
                os._exit(3)
            case "broken":
                raise OSError(5, "Input/output error")
            case "wait":
                with (Path(self.calls).parent / "gate").open("rb") as gate:
                    gate.read()
        return np.frombuffer(content.encode(), np.uint8).astype(self.dtype)


class Folder:
    """Files to decode, the count of decodings, and a cache of its own."""

    def __init__(self, path: Path) -> None:
        self.files, self.calls = path / "files", path / "calls"
        self.files.mkdir()
        self.calls.mkdir()
        self.decoder = Counting(str(self.calls))

    def write(self, *contents: str) -> list[Source]:
        return [self.source(f"{number}.txt", content) for number, content in enumerate(contents)]

    def source(self, name: str, content: str) -> Source:
        path = self.files / name
        path.write_text(content)
        return Source(name, path)

    def decoded(self) -> list[str]:
        """What has been decoded since the last time this was asked."""
        calls = list(self.calls.iterdir())
        for call in calls:
            call.unlink()
        return sorted(call.name.split("-")[0] for call in calls)

    def open(self, sources: Sequence[Source], **options: object) -> Cache:
        return cached("test", sources, self.decoder, **options)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("MMPARETO_CACHE", str(tmp_path / "cache"))
    return Folder(tmp_path)


def texts(cache: Sequence[np.ndarray | None]) -> list[str | None]:
    return [None if item is None else item.tobytes().decode() for item in cache]


def store() -> Path:
    """The one store of the one cache."""
    (found,) = (path for path in cache_folder().glob("*/*") if path.is_dir())
    return found


def stored() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store().iterdir()}


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


SCRIPT = """
import logging, sys
from pathlib import Path
from data.test_cache import Counting, Source, cached, texts
if __name__ == "__main__":
    logging.basicConfig()
    logging.getLogger("filelock").setLevel("DEBUG")  # says when it waits
    files, calls, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    sources = [Source(path.name, path) for path in sorted(files.iterdir(), key=lambda path: int(path.stem))]
    print(texts(cached("test", sources, Counting(calls), workers=workers)))
"""


@pytest.fixture
def script(tmp_path: Path, folder: Folder) -> list[str]:
    """A command that makes the folder's cache; the last word is the number of workers."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return [sys.executable, str(path), str(folder.files), str(folder.calls)]


def start(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_process_continues_where_it_stopped(
    workers: int, folder: Folder, script: list[str]
) -> None:
    contents = [str(number) * 40 for number in range(12)]
    contents[5] = "bad"
    contents[8] = "wait! for the gate"
    sources = folder.write(*contents)
    gate = folder.calls.parent / "gate"
    os.mkfifo(gate)
    process = start([*script, str(workers)])
    with gate.open("wb"):  # opens when the ninth file is being decoded, and holds it up
        running = {int(call.name.split("-")[1]) for call in folder.calls.iterdir()}
        ends = {pid: os.pidfd_open(pid) for pid in running}
        process.kill()
        process.communicate()
        for end in ends.values():
            assert select.select([end], [], [], 60)[0], "a process outlives the one that started it"
            os.close(end)
    gate.unlink()
    first = folder.decoded()
    assert "8" in first
    gate.write_text("")
    cache = folder.open(sources, workers=workers)
    assert texts(cache) == [None if content == "bad" else content for content in contents]
    again = folder.decoded()
    assert {"9", "10", "11"} <= set(first) | set(again)
    assert set(again) <= {str(number) for number in range(12)} - {
        str(number) for number in range(0 if workers else 8)
    }
    continued = stored()
    for path in store().iterdir():
        path.unlink()
    folder.open(sources)
    assert stored() == continued


def test_of_two_processes_one_decodes_and_the_other_waits(
    folder: Folder, script: list[str]
) -> None:
    folder.write("some", "wait! for the gate", "more")
    gate = folder.calls.parent / "gate"
    os.mkfifo(gate)
    first = start([*script, "0"])
    with gate.open("wb"):
        second = start([*script, "0"])
        assert waits(second)
        assert not [
            call for call in folder.calls.iterdir() if int(call.name.split("-")[1]) == second.pid
        ]
    outputs = [process.communicate() for process in (first, second)]
    assert [output for output, _ in outputs] == ["['some', 'wait! for the gate', 'more']\n"] * 2, (
        outputs
    )
    assert folder.decoded() == ["0", "1", "2"]


def waits(process: subprocess.Popen[str]) -> bool:
    """Reads what a script tells until it waits for a lock; False if it ends without doing so."""
    assert process.stderr is not None
    return any("not acquired" in line for line in process.stderr)


def test_a_process_that_ends_while_it_decodes_is_no_riddle(folder: Folder) -> None:
    with pytest.raises(MMParetoError, match=r"should not end the process .* did: .*1\.txt"):
        folder.open(folder.write("good", "end"), workers=1)


def test_an_interrupt_reaches_the_caller_and_what_is_done_is_kept(folder: Folder) -> None:
    sources = folder.write("a", "b", "c")

    def interrupt(name: str, done: int, total: int) -> None:
        if done == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        folder.open(sources, progress=interrupt)
    assert texts(folder.open(sources)) == ["a", "b", "c"]
    assert folder.decoded() == ["0", "1", "2"]


def test_a_cache_that_cannot_be_written_says_what_to_set(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = folder.write("some")
    monkeypatch.setenv("MMPARETO_CACHE", str(source.path / "below a file"))
    with pytest.raises(MMParetoError, match=r"0\.txt.*Not a directory.*MMPARETO_CACHE"):
        folder.open([source])


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # bytes of any file, as if the disk were full
sys.argv.append("0")
exec(compile(open(sys.argv[1]).read(), sys.argv.pop(1), "exec"))
"""


def test_a_full_disk_is_an_error_and_leaves_nothing_half_read(
    folder: Folder, script: list[str]
) -> None:
    contents = [str(number) * 300 for number in range(8)]
    sources = folder.write(*contents)
    full = folder.calls.parent / "full.py"
    full.write_text(FULL)
    _, error = start([script[0], str(full), *script[1:]]).communicate()
    assert "MMParetoError: The cache" in error
    assert "File too large" in error
    assert "MMPARETO_CACHE" in error.splitlines()[-1]
    done = folder.decoded()
    assert done[:2] == ["0", "1"]
    assert texts(folder.open(sources)) == contents
    assert len(done) + len(folder.decoded()) == len(contents) + 1


def test_what_was_removed_from_under_an_open_cache_is_named(folder: Folder) -> None:
    sources = folder.write("a", "b")
    pickled = pickle.dumps(folder.open(sources))
    folder.open(sources[:1])
    with pytest.raises(MMParetoError, match=r"should hold 2 items\. Found 0: .* Start again"):
        pickle.loads(pickled)[0]


def test_another_command_leaves_a_cache_in_use_where_it_is(
    folder: Folder, script: list[str]
) -> None:
    before = [str(number) * 9 for number in range(4)]
    cache = folder.open(folder.write(*before))
    folder.source("4.txt", "new")
    output, error = start([*script, "0"]).communicate()
    assert output == f"{[*before, 'new']}\n", error
    assert folder.decoded() == ["0", "1", "2", "3", "4"], (
        "the new one is decoded, the rest taken over"
    )
    assert texts(pickle.loads(pickle.dumps(cache))) == before
    assert len([path for path in cache_folder().glob("*/*") if path.is_dir()]) == 2
    del cache
    start([*script, "0"]).communicate()
    (folder.files / "0.txt").unlink()
    start([*script, "0"]).communicate()
    store()  # alone


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


def test_the_cache_is_in_the_home_folder_unless_stated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MMPARETO_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "mmpareto"
    monkeypatch.setenv("MMPARETO_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
