"""`import mmpareto` is light, and what breaks other packages on this platform stays out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mmpareto

ROOT = Path(__file__).parents[1]
HEAVY = {
    *(
        "lightning",
        "pytorch_lightning",
        "torchmetrics",
        "matplotlib",
        "sklearn",
        "scipy",
        "transformers",
    ),
    *("accelerate", "peft"),
    *("jsonargparse", "rich", "jinja2", "tensorboard", "torchjd", "torchvision", "torchaudio"),
}


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `import mmpareto`."""
    code = "import sys, mmpareto; print(*{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_import_loads_torch_and_nothing_heavier(loaded: set[str]) -> None:
    assert {"mmpareto", "torch"} <= loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("name", ["torchvision", "torchaudio"])
def test_no_package_that_breaks_the_others(name: str) -> None:
    """They have no CPU build here, and an installed torchvision breaks `import lightning`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert "torch" in {re.split(r"[^\w-]", line)[0] for line in pinned}
    assert not [
        line for line in (*required, *pinned) if re.match(rf"{name}\b", line, re.IGNORECASE)
    ]


def test_one_file_speaks_to_other_processes() -> None:
    package = ROOT / "src/mmpareto"
    importing = [path for path in package.rglob("*.py") if "torch.distributed" in _imported(path)]
    assert importing == [package / "distributed/_group.py"]


def _imported(path: Path) -> set[str]:
    """Modules that a file imports, and the packages they are in."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
        found |= {
            ".".join(name.split(".")[:length])
            for name in names
            for length in range(1, name.count(".") + 2)
        }
    return found


def test_the_version_is_stated_alike() -> None:
    stated = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert stated == [mmpareto.__version__]
