"""Which methods have a role in a comparison is said beside them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mmpareto
from mmpareto.compare import ROLES, method_names
from mmpareto.compare._roles import CONTRASTS, OTHER_LOOKS, REFERENCE, in_order

ROOT = Path(mmpareto.__file__).parent
ROOMS = [*(ROOT / "compare").glob("*.py"), *(ROOT / "cli").glob("*.py")]


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_other_file_names_a_method(path: Path) -> None:
    named = set(method_names()) - {"joint"}  # which is an objective, too
    if path.name in {"_environment.py", "_options.py"}:
        named -= {"mmpareto"}  # here the package and the program
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant):
            assert node.value not in named


def test_roles_are_of_methods_and_look_different() -> None:
    assert set(ROLES) <= set(method_names())
    looks = [*((role.colour, role.marker) for role in ROLES.values()), *OTHER_LOOKS]
    assert len(set(looks)) == len(looks)
    for _, _, method, control in CONTRASTS:
        assert {method, control} <= set(ROLES)
    assert REFERENCE in ROLES


def test_methods_without_a_role_come_last_by_name() -> None:
    assert in_order({"zeta", *ROLES, "alpha"}) == [*ROLES, "alpha", "zeta"]
