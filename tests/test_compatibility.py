"""What docs/compatibility.md says is shown by the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/compatibility.md"
LINKS = re.findall(r'\[[^\]]+\]\((\S+?\.py) "([^"]+)"\)', PAGE.read_text())


@pytest.mark.parametrize(
    ("path", "name"), dict.fromkeys(LINKS), ids=lambda text: text.rpartition("/")[2]
)
def test_cell_names_a_test(path: str, name: str) -> None:
    file = PAGE.parent / path
    source = file.read_text()
    function, _, case = name.removesuffix("]").partition("[")
    defined = {
        node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
    }
    assert function in defined, f"{path} has no {function}"
    helpers = [*file.parent.glob("*.py"), *Path(__file__).parent.glob("*.py")]
    texts = [source, *(other.read_text() for other in helpers)]
    assert all(any(case_part(part) in text for text in texts) for part in case.split("-", 1)), (
        f"no case {case}"
    )


def case_part(part: str) -> str:
    """As it stands in the source: numbers of modalities are counted there."""
    return re.sub(r"^\d+ ", "", part)


def test_every_cell_says_something() -> None:
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| |")
    ]
    assert len(rows) > 25
    for row in rows:
        first, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert first
        backed = [cell for cell in cells if cell and cell not in ("not tried", "the same")]
        assert backed
        assert all(".py " in cell for cell in backed), row
