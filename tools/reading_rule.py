"""Holds the part of the reading rule of CONTRIBUTING.md that ruff cannot see.

Run as ``python tools/reading_rule.py [FOLDER ...]``: prints what breaks the rule, ends with 1 then.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
CORE = ("balancing", "distributed", "gradients", "step", "partition.py")
MOST = {"source": 20, "core": 12}
"""Comprehensions per 1,000 lines of ``src/mmpareto``, and of the rooms of the step."""


def expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements inside it."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(
            child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)
        )


def has_inside(node: ast.AST, kind: type | tuple[type, ...]) -> bool:
    """Whether a node of a kind lies below `node`."""
    return any(isinstance(inner, kind) for inner in ast.walk(node) if inner is not node)


def breaches(path: Path) -> Iterator[str]:
    """What breaks the rule in one file, a line each."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.stmt):
            found = [inner for inner in expressions(node) if isinstance(inner, COMPREHENSIONS)]
            if len(found) > 1:
                yield f"{path}:{node.lineno}: {len(found)} comprehensions in one statement"
        if isinstance(node, COMPREHENSIONS):
            if has_inside(node, COMPREHENSIONS):
                yield f"{path}:{node.lineno}: a comprehension within a comprehension"
            if has_inside(node, ast.NamedExpr):
                yield f"{path}:{node.lineno}: a walrus within a comprehension"
        if isinstance(node, DOCUMENTED) and (ast.get_docstring(node) or "").startswith("The same"):
            yield f"{path}: a docstring that begins 'The same'"


def density(paths: list[Path]) -> float:
    """Comprehensions per 1,000 lines."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    count = 0
    for text in texts:
        count += sum(isinstance(node, COMPREHENSIONS) for node in ast.walk(ast.parse(text)))
    return 1000 * count / max(1, sum(text.count("\n") for text in texts))


def main(folders: list[str]) -> int:
    """Prints the breaches and the densities."""
    roots = [Path(folder) for folder in folders or ["src/mmpareto", "tools"]]
    files = [path for root in roots for path in sorted(root.rglob("*.py"))]
    wrong = 0
    for path in files:
        for breach in breaches(path):
            print(breach)
            wrong += 1
    source = [path for path in files if path.is_relative_to("src/mmpareto")]
    core = [path for path in source if path.relative_to("src/mmpareto").parts[0] in CORE]
    for name, paths in {"source": source, "core": core}.items():
        found = density(paths)
        print(f"{name}: {found:.1f} comprehensions per 1,000 lines, at most {MOST[name]}")
        wrong += found > MOST[name] and not folders
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
