"""Names from data as names of files, and as what is shown; and that no path is built otherwise."""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmpareto
from mmpareto._storage._names import file_name, printable

HOSTILE = [
    "/any/where",
    "a/b",
    "..",
    ".",
    "",
    "\\\\server\\share",
    "C:\\x",
    "nul",
    "com1",
    "a\0b",
    "[red]",
    "[/x]",
    "\x1b]0;taken\x07",
    '=HYPERLINK("http://evil")',
    "x" * 5000,
    "\udcff",
    "Ünïcode",
    "~",
    "-rf",
]
ROOT = Path(mmpareto.__file__).parent


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_name_is_one_plain_component_of_a_path(name: str) -> None:
    component = file_name(name)
    assert PurePosixPath("x", component).parts == ("x", component)
    assert PureWindowsPath("x", component).parts == ("x", component)
    assert component.isascii()
    assert component.isprintable()
    assert component == component.lower()
    assert component[0] not in ".-"
    assert 0 < len(component) <= 80
    assert component.partition(".")[0] not in {"nul", "con", "com1"}


@given(st.text(), st.text())
def test_different_names_have_different_files(first: str, second: str) -> None:
    assert (file_name(first) == file_name(second)) == (first == second)


def test_names_that_differ_in_case_or_length_have_different_files() -> None:
    names = ["Audio", "audio", "AUDIO", "a b", "a-b", "a_b", "x" * 90, "x" * 91]
    assert len({file_name(name).lower() for name in names}) == len(names)


@pytest.mark.parametrize("name", ["audio", "left_eye", "view-2", "0", "scaled-uniform"])
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert file_name(name) == name


@given(st.text() | st.sampled_from(HOSTILE))
def test_shown_text_steers_nothing_and_stays_as_it_is_where_it_can(text: str) -> None:
    shown = printable(text)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


def test_escapes_and_directions_are_written_out() -> None:
    assert printable("a\x1b[31m\u202eb\nc\td") == "a\\x1b[31m\\u202eb\nc\\td"


PARTS_OF_PATHS = {
    "file_name(modality)",
    "run_name(name, seed)",
    "cell.name",  # made by run_name
    "run",  # made by run_name
    "f'{name}.png'",  # of the report's own figures
    "f'version_{number}'",  # of a start of a training
    "name",  # of the files of a training, in _seal and _claimed_run
}
"""What stands behind a slash besides constants, in modules that know names from data."""


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] != "data"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_paths_are_built_from_constants_and_file_names(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if "import Path" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            part = node.right
            constant = isinstance(part, ast.Name) and part.id.isupper()
            constant |= isinstance(part, ast.Constant) and isinstance(part.value, str)
            constant |= isinstance(part, ast.Call) and ast.unparse(part.func) == "file_name"
            assert constant or ast.unparse(part) in PARTS_OF_PATHS, ast.unparse(node)
