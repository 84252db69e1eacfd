"""Configuration files are data: nothing in them is a reason to import or to call anything."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmpareto._catalogue import catalogue
from mmpareto._storage._yaml import read_yaml
from mmpareto.cli._config_file import CATALOGUES, section
from mmpareto.errors import MMParetoError
from mmpareto.training import RunConfig

_CLASS, _ARGUMENTS = "class_path", "init_args"
_OF_OBJECTS = {_CLASS, _ARGUMENTS, "dict_kwargs"}
_PLAIN = (bool, int, float, str, Path, NoneType, Ellipsis)
_CONTAINERS = (Union, UnionType, tuple, list, dict, Sequence, Mapping)


def trust(path: str) -> None:
    """Imports a class of the user's own, so that files may name it.

    Raises:
        MMParetoError: If it cannot be imported.
    """
    try:
        import_module(path.rpartition(".")[0])
    except (ImportError, ValueError) as error:
        raise MMParetoError(
            f"Parameter `trust` should be the path of a class. Found '{path}': {error}."
        ) from error


def check_config_file(path: Path) -> None:
    """Raises unless a file holds plain settings and names of what is known.

    Known are the classes of this library, and others that have been imported already.

    Raises:
        MMParetoError: If it does not; the message names the setting.
    """
    types = get_type_hints(RunConfig)
    for name, value in read_yaml(path).items():
        where = f"{path}, setting `{name}`"
        if name in CATALOGUES:
            _check_choice(where, name, value)
        else:
            # A name in place of a section, here as `optimizer`, would be imported.
            is_name = is_dataclass(types.get(name)) and not isinstance(value, dict)
            nested = name == "config" or "." in str(name)
            if is_name or nested or _describes_object({name: value}):
                raise MMParetoError(f"{where}: should be plain values. Found {value!r}.")


def _check_choice(where: str, kind: str, value: Any) -> None:
    """Checks what is chosen from a catalogue: a name, or a class and its arguments."""
    choice = section(kind, value) if kind == "optimizer" and isinstance(value, dict) else value
    given = choice if isinstance(choice, dict) else {_CLASS: choice}
    arguments = given.get(_ARGUMENTS) or {}
    if _CLASS not in given or given.keys() - {_CLASS, _ARGUMENTS}:
        raise MMParetoError(
            f"{where}: should be a name, or `{_CLASS}` and `{_ARGUMENTS}`. Found {value!r}."
        )
    types = get_type_hints(_known_class(where, kind, str(given[_CLASS])))
    if not isinstance(arguments, dict) or _describes_object(arguments):
        raise MMParetoError(f"{where}: should have plain values. Found {arguments!r}.")
    for name, argument in arguments.items():
        nested = "." in str(name)
        if argument is not None and (nested or not _is_plain(types.get(name, str))):
            raise MMParetoError(
                f"{where}: should have plain values. Found `{name}`, which is given in Python."
            )


def _describes_object(value: Any) -> bool:
    """Whether something in plain values stands for an object, as jsonargparse reads them."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in _OF_OBJECTS or _describes_object(part):
                return True
    return isinstance(value, list) and any(map(_describes_object, value))


def _known_class(where: str, kind: str, path: str) -> type:
    """The class of a name or path, without an import."""
    package, base = CATALOGUES[kind]
    entries = catalogue(package, base)
    if path in entries:
        return entries[path]  # type: ignore[no-any-return]
    module, _, name = path.rpartition(".")
    entry = vars(sys.modules[module]).get(name) if module in sys.modules else None
    if inspect.isclass(entry) and issubclass(entry, base):
        return entry
    remedy = f" A class of your own is imported by --trust {path}." if module else ""
    raise MMParetoError(f"{where}: should be one of {', '.join(entries)}. Found '{path}'.{remedy}")


def _is_plain(annotation: Any) -> bool:
    """Whether a type has plain values alone."""
    origin = get_origin(annotation)
    if annotation in _PLAIN or origin is Literal:
        return True
    return origin in _CONTAINERS and all(map(_is_plain, get_args(annotation)))
