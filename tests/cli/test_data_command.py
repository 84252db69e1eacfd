"""``mmpareto data``, as a person meets it; its recipes are made here, to behave well and badly."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from mmpareto import data
from mmpareto._catalogue import catalogue
from mmpareto.cli import main
from mmpareto.cli._data import _progress
from mmpareto.cli._parser import expand_name
from mmpareto.data import CGDigits, DatasetRecipe, Finding, Findings, Progress, Splits
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Shape

KNOWN = catalogue(data, DatasetRecipe)


@dataclass(frozen=True)
class Probe(DatasetRecipe):
    """A data set of a test.

    It has a second paragraph.

    Args:
        root: Where ten files are made.
        fault: What its check finds.
        interrupted_at: Press Ctrl-C after so many files.
        sizes: Of nothing.
    """

    name = "probe"
    citation = "Nobody, Nowhere, never."
    notes = ("A note.",)
    layout = "In root: ten files."

    root: Path | None = None
    fault: str = "none"
    interrupted_at: int = -1
    sizes: Sequence[int] = field(default_factory=lambda: [3, 4])

    def __post_init__(self) -> None:
        if self.fault == "warns":
            warnings.warn("Two\nlines  of it.", stacklevel=2)

    @property
    def shapes(self) -> dict[str, Shape]:
        if self.root is None:
            raise MMParetoError("Found no root: add --data.root.")
        return {"audio": (1, 64, 64)}

    @property
    def target(self) -> Classes:
        return Classes(("cat", "dog"))

    def load(self) -> Splits:
        return CGDigits().load()

    def prepare(self, workers: int = 0, progress: Progress | None = None) -> None:
        if self.root is None:
            raise MMParetoError("Found no root: add --data.root.")
        for number in range(10):
            file = self.root / str(number)
            if number == self.interrupted_at:
                os.kill(os.getpid(), signal.SIGINT)
            if not file.exists():
                file.write_text(f"{workers} workers")
            if progress:
                progress("files", number + 1, 10)

    def check(self) -> Findings:
        wrong = (
            Finding("my.csv, row 3", "a cell is\nmissing"),
            Finding("my.csv", "it has no labels", fatal=True),
            Finding("my.csv, row 5", "a file cannot be read"),
        )
        shown = {"none": (), "small": wrong[::2], "fatal": wrong}
        return Findings([("rows", "7"), ("classes", "cat, dog")], shown[self.fault])


PROBE = f"{__name__}.Probe"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a wrong command ends."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert re.fullmatch(r"mmpareto: error: .*\n", captured.err)
    return captured.err


def test_list_names_each_data_set_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(KNOWN)
    for line, recipe in zip(lines, KNOWN.values(), strict=True):
        assert line.endswith((recipe.__doc__ or "").splitlines()[0])


@pytest.mark.parametrize("name", KNOWN)
def test_info_needs_no_files(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", name]) == 0
    shown = "".join(capsys.readouterr().out.split())
    for text in (name, KNOWN[name].citation, KNOWN[name].layout, *KNOWN[name]().notes):
        assert "".join(text.split()) in shown


def test_settings_of_a_base_class_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", "manifest"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^--data\.label +label +Column of what is predicted\.", shown, re.MULTILINE)


def test_info_shows_settings_with_defaults_and_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", PROBE, "--data.root", "."]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^audio +\(1, 64, 64\)", shown, re.MULTILINE)
    assert re.search(r"^--data\.fault +none +What its check finds\.", shown, re.MULTILINE)
    assert re.search(r"^--data\.root +Where ten files are made\.", shown, re.MULTILINE)
    assert re.search(r"^--data\.sizes +\[3, 4\] +Of nothing\.", shown, re.MULTILINE)
    for text in (
        "probe: A data set of a test.",
        "It has a second paragraph.",
        "A note.",
        "Source: Nobody",
        "Files: In",
    ):
        assert text in shown
    assert main(["data", "info", PROBE]) == 0
    assert "depends on the files. Found no root: add --data.root." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "code", "end"),
    [
        ("none", 0, "\nThe data can be trained on.\n"),
        (
            "small",
            0,
            "\nLeft out, or to be known:\nmy.csv, row 3: a cell is missing\nmy.csv, row 5: a file "
            "cannot be read\n\nThe data can be trained on.\n",
        ),
        (
            "fatal",
            2,
            "\nHas to be mended before training:\nmy.csv: it has no labels\n"
            "\nLeft out, or to be known:\nmy.csv, row 3: a cell is missing\nmy.csv, row 5: a file "
            "cannot be read\n",
        ),
    ],
)
def test_check_lists_what_is_fatal_first(
    fault: str, code: int, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", PROBE, "--data.fault", fault]) == code
    captured = capsys.readouterr()
    facts, rest = captured.out[: -len(end)], captured.out[-len(end) :]
    assert rest == end
    assert [re.split(r"  +", line.strip()) for line in facts.splitlines()] == [
        ["rows", "7"],
        ["classes", "cat, dog"],
    ]
    assert captured.err == ("mmpareto: probe cannot be trained on\n" if code else "")


def test_check_decodes_first_and_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", PROBE, "--data.root", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:10] == [f"files: {done} of 10" for done in range(1, 11)]
    assert lines[-1] == "The data can be trained on."
    assert (tmp_path / "9").read_text() == "0 workers"


def test_check_of_data_that_are_read_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "cg-digits"]) == 0
    assert re.search(r"^train +1,257 samples", capsys.readouterr().out, re.MULTILINE)
    assert main(["data", "check", "cg-mnist", "--data.root", "/none.npz"]) == 2
    assert "cg-mnist: Parameter `data.root` should" in capsys.readouterr().out


def test_prepare_prints_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "prepare", PROBE, "--data.root", str(tmp_path), "--workers", "3"]) == 0
    lines = [f"files: {done} of 10" for done in range(1, 11)]
    assert capsys.readouterr().out.splitlines() == [*lines, "probe is ready."]
    assert (tmp_path / "9").read_text() == "3 workers"


def test_a_line_for_each_tenth_and_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with _progress(Console(file=io.StringIO())) as progress:
        for done in range(2001):
            progress("clips", done, 2000)
        progress("nothing", 0, 0)
    assert capsys.readouterr().out.splitlines() == [
        *(f"clips: {done:,} of 2,000" for done in range(0, 2001, 200)),
        "nothing: 0 of 0",
    ]
    terminal = io.StringIO()
    with _progress(Console(file=terminal, force_terminal=True, width=80)) as progress:
        progress("clips", 7, 9)
    assert re.search(r"clips .*━.*7/9", terminal.getvalue())
    assert capsys.readouterr().out == ""


@pytest.fixture
def terminal() -> Iterator[None]:
    """Ctrl-C as in a terminal: programs that a script runs in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminal")
def test_after_ctrl_c_the_same_command_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "prepare", PROBE, "--data.root", str(tmp_path)]
    assert main([*command, "--data.interrupted_at", "4"]) == 130
    assert (
        capsys.readouterr().err
        == "mmpareto: interrupted; the same command continues where it stopped\n"
    )
    made = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert sorted(made) == ["0", "1", "2", "3"]
    assert main(command) == 0
    assert len(list(tmp_path.iterdir())) == 10
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in made} == made


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "check", PROBE, "--data.fault", "warns"],
        ["train", "--data", PROBE, "--data.fault", "warns"],
    ],
)
def test_a_warning_is_one_line_in_every_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = warnings.showwarning
    if arguments[0] == "train":
        with pytest.raises(SystemExit, match=r"^2$"):
            main([*arguments, "--epochs", "0", "--out", "x"])
    else:
        with pytest.raises(KeyError):  # its check finds nothing of that name
            main(arguments)
    assert capsys.readouterr().err.splitlines()[0] == "mmpareto: warning: Two lines of it."
    assert warnings.showwarning is shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data"], "to be one of {list,info,prepare,check}"),
        (
            ["data", "nonsense"],
            "invalid choice: 'nonsense' (choose from 'list', 'info', 'prepare', 'check')",
        ),
        (["data", "check"], "required: the name of a data set"),
        (
            ["data", "info", "nonsense"],
            f"`data` should be one of {', '.join(KNOWN)}. Found 'nonsense'",
        ),
        (["data", "check", "none.csv"], "Found no file none.csv"),
        (["data", "check", "cg-mnist", "more"], "unrecognized arguments: more"),
        (["data", "check", "cg-mnist", "--data.nonsense", "3"], "'nonsense' is not accepted"),
        (
            ["data", "check", "cg-mnist", "--data.variance", "-1"],
            "`variance` should be finite and not negative",
        ),
        (["data", "check", "--config", "none.yaml"], "none.yaml"),
        (["data", "prepare", "cg-mnist"], "add --data.root"),
        (["data", "prepare", "cg-mnist", "--data.root", "/none"], "Found no file /none"),
        (
            ["data", "prepare", "cg-digits", "--workers", "-1"],
            "`workers` should not be negative. Found -1",
        ),
        (
            ["data", "prepare", "cg-digits", "--workers", "many"],
            "\"workers\": Expected a <class 'int'>",
        ),
    ],
)
def test_a_wrong_command_ends_with_one_line_and_code_two(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(arguments, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [".csv", ".tsv", ".parquet", ".pq", ".CSV"])
def test_a_table_stands_for_a_manifest(end: str, tmp_path: Path) -> None:
    table = tmp_path / f"my table{end}"
    table.write_text("id,label\n")
    expected = [
        "data",
        "check",
        "--data",
        "manifest",
        "--data.label",
        "age",
        "--data.path",
        str(table),
    ]
    assert expand_name(["data", "check", str(table), "--data.label", "age"]) == expected
    assert expand_name(["data", "check", "--data.label", "age", str(table)]) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--out", "x.csv"],
        ["data", "list"],
        ["data", "check", "--help"],
        ["data", "check", "--data", "cg-digits"],
    ],
)
def test_other_commands_stay_as_they_are(arguments: list[str]) -> None:
    assert expand_name(arguments) == arguments


def test_settings_come_from_files_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(
        yaml.safe_dump({"data": {"class_path": PROBE, "init_args": {"fault": "fatal"}}})
    )
    assert main(["data", "check", "--config", str(file)]) == 2
    assert main(["data", "check", PROBE, "--data.fault", "none", "--config", str(file)]) == 0
    file.write_text("data: cg-digits\n")
    capsys.readouterr()
    assert main(["data", "check", f"--config={file}"]) == 0
    assert "1,257 samples" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["data"], ["data", "check"]])
def test_help_fits_eighty_columns_and_hides_internals(arguments: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "mmpareto", *arguments, "--help"],
        env={"COLUMNS": "80", "PATH": ""}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert max(map(len, shown.splitlines())) <= 80
    assert "class_path" not in shown
    assert "None" not in shown
    if "check" in arguments:
        assert "mmpareto data check NAME|FILE" in shown
