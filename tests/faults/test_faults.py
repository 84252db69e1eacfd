"""Whatever goes wrong, the command run again completes, with results that are equal to the bit.

In `make test` a short draw, in `make faults` all of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from faults.commands import ARGUMENTS, Case, Zygote
from faults.damage import damage
from faults.tally import Tally

COMMANDS = tuple(ARGUMENTS)
KINDS = ("kill", "full", "read-only")
NAMES = {
    "kill": "killed before a change of files",
    "full": "disk full from a change of files on",
    "read-only": "folder read-only from a change of files on",
}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    program = Zygote()
    yield program
    program.close()


class Cases(dict[str, Case]):
    """The commands, each prepared when it is asked for."""

    def __init__(self, make: Callable[[str], Case]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Case:
        self[name] = self._make(name)
        return self[name]


@pytest.fixture(scope="module")
def cases(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return Cases(lambda name: Case(name, tmp_path_factory.mktemp("case"), zygote))


def at_changes(case: Case, kind: str, count: int) -> Tally:
    """Faults at `count` of the changes of files, evenly spread."""
    tally = Tally(NAMES[kind], case.name)
    step = max(1, case.changes / count)
    for number in range(min(count, case.changes)):
        fault = {"kind": kind, "change": 1 + int(number * step)}
        folder = case.folder()
        code = case.run(folder, fault=fault)
        if code == 0 and kind == "kill":
            continue  # this time there were fewer changes
        tally.settle(case, folder, code, fault)
    return tally


def at_moments(case: Case, count: int, seed: int) -> Tally:
    """SIGKILL at random moments."""
    tally, chance = Tally("killed at a random moment", case.name), random.Random(seed)
    while tally.tries < count:
        seconds = chance.uniform(0, case.seconds)
        folder = case.folder()
        code = case.run(folder, seconds=seconds)
        if code == -9:
            tally.settle(case, folder, code, seconds)
    return tally


def at_lengths(case: Case, count: int, seed: int) -> Tally:
    """No file may become longer than some bytes, as on a disk that is nearly full."""
    tally, chance = Tally("disk full within a file", case.name), random.Random(seed)
    while tally.tries < count:
        fault = {"bytes": int(10 ** chance.uniform(2.9, case.magnitude))}
        folder = case.folder()
        tally.settle(case, folder, case.run(folder, fault=fault), fault)
    return tally


def at_files(case: Case, count: int, seed: int) -> Tally:
    """A file that the finished, or on every second try the killed, command left is damaged."""
    tally, chance = Tally("a file damaged", case.name), random.Random(seed)
    while tally.tries < count:
        killed = tally.tries % 2 == 1
        folder = case.folder(copied=not killed)
        if killed:
            change = chance.randrange(case.changes // 4, case.changes)
            case.run(folder, fault={"kind": "kill", "change": change})
        what = damage(folder, chance)
        if what:
            tally.settle(case, folder, case.run(folder), what)
    return tally


def at_workers(case: Case, batches: Sequence[int]) -> Tally:
    """The process that loads the data dies at a batch, as where shared memory is too small."""
    tally = Tally("a worker that loads data dies", case.name)
    for batch in batches:
        folder = case.folder()
        arguments = [*case.arguments, "--workers", "1"]
        code = case.zygote.run(arguments, folder, fault={"worker": batch})
        tally.settle(case, folder, code, batch)
    return tally


def at_once(case: Case, other: Zygote, count: int) -> Tally:
    """A second process begins the very command in the very folder."""
    tally = Tally("two writers at once", case.name)
    for number in range(count):
        folder = case.folder()
        other.begin(case.arguments, folder, log="log2")
        tally.settle(case, folder, case.run(folder), number)
        assert other.end() == 0, (folder / "log2").read_text()
    return tally


@pytest.mark.parametrize("command", COMMANDS)
def test_a_short_draw(command: str, cases: Cases) -> None:
    case = cases[command]
    count = 1 if command == "compare" else 3  # which takes five times as long
    at_changes(case, "kill", count).check()
    at_moments(case, count, seed=0).check()
    at_files(case, 2 * count, seed=0).check()
    if command != "compare":
        at_changes(case, "full", count).check()
        at_changes(case, "read-only", count).check()
        at_lengths(case, 1, seed=0).check()


def test_a_worker_that_dies_is_named(cases: Cases) -> None:
    at_workers(cases["train"], [2]).check()


# A comparison takes five times as long as the others.
@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_changes(command: str, kind: str, cases: Cases) -> None:
    most = 6 if command == "compare" else 20
    tally = at_changes(cases[command], kind, 60 if kind == "kill" else most)
    tally.check()
    assert tally.tries >= (60 if kind == "kill" else most)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("command", "count"), [("train", 40), ("compare", 20), ("data prepare", 40)]
)
def test_moments(command: str, count: int, cases: Cases) -> None:
    at_moments(cases[command], count, seed=1).check()


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("command", "count"), [("train", 10), ("compare", 6), ("data prepare", 10)]
)
def test_lengths(command: str, count: int, cases: Cases) -> None:
    at_lengths(cases[command], count, seed=1).check()


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("command", "count"), [("train", 120), ("compare", 20), ("data prepare", 370)]
)
def test_files(command: str, count: int, cases: Cases) -> None:
    at_files(cases[command], count, seed=1).check()


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_workers(cases: Cases) -> None:
    at_workers(cases["train"], [1, 2]).check()


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", COMMANDS)
def test_writers(command: str, cases: Cases) -> None:
    other = Zygote()
    at_once(cases[command], other, 3).check()
    other.close()
