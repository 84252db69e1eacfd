"""YAML files as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mmpareto._storage._files import read_text
from mmpareto.errors import MMParetoError

_MOST_NODES = 100_000


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file that holds settings.

    Raises:
        MMParetoError: If the file cannot be read, is no YAML, or holds no settings.
    """
    content = parse_yaml(read_text(path), str(path))
    if not isinstance(content, dict):
        raise MMParetoError(
            f"{path} should hold settings as YAML. Found {type(content).__name__}. Choose another "
            "file or folder, or restore this one."
        )
    return content


def parse_yaml(text: str, source: str) -> Any:
    """Plain values from YAML.

    Args:
        text: The YAML.
        source: Where it comes from, for messages.

    Returns:
        What the text says.

    Raises:
        MMParetoError: If the text is no such YAML.
    """
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        message = " ".join(str(error).split())
        raise MMParetoError(f"{source} should be YAML. Found: {message}.") from error


def load_yaml(text: str) -> Any:
    """Plain values from YAML: no tags that make objects, no aliases that multiply without end.

    Raises:
        yaml.YAMLError: If the text is no such YAML.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and _size(root, {}) > _MOST_NODES:
            raise yaml.YAMLError(f"aliases that multiply to more than {_MOST_NODES:,} values")
        return yaml.safe_load(text)
    except (RecursionError, ValueError) as error:  # nested too deeply; a date that is none
        raise yaml.YAMLError(str(error)) from error


def _size(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Number of values in a node, where an alias counts as often as it is used."""
    if id(node) not in sizes:
        sizes[id(node)] = float("inf")  # what contains itself has no end
        size = 1.0
        for part in _parts(node):
            size += _size(part, sizes)
        sizes[id(node)] = size
    return sizes[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
