"""From plain values, such as a file holds, to settings of the types that a class declares.

Nothing is imported, and nothing is called but the classes of `known_classes` and the frozen
dataclasses that these, or the configuration itself, declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from mmpareto.errors import MMParetoError
from mmpareto.optimizers import SGD, Optimizer
from mmpareto.training._known_classes import CATALOGUES, known_classes

CLASS, ARGUMENTS = "class_path", "init_args"
_LONGEST = 100  # characters of a value in a message


def restore(annotation: Any, value: Any, where: str) -> Any:
    """The setting that a plain value stands for.

    Args:
        annotation: The type that the setting is declared with.
        value: A plain value: None, a truth value, a number, a text, a list or a mapping of these.
        where: Names the setting in messages.

    Raises:
        MMParetoError: If the value is no such setting, or such a setting is given in Python only.

    Example:
        >>> restore(tuple[float, ...] | None, [1, 2.5], "sizes")
        (1.0, 2.5)
        >>> restore(int, True, "number")
        Traceback (most recent call last):
        mmpareto.errors.MMParetoError: number should be a whole number. Found True.
    """
    if annotation in CATALOGUES:
        return _restore_choice(annotation, value, where)
    if is_dataclass(annotation):
        return restore_fields(annotation, value, where)
    if annotation is np.ndarray:
        with np.errstate(over="ignore"):
            return np.array(_restore_list((float,), value, where), np.float32)
    restore_kind = _BY_ORIGIN.get(get_origin(annotation))
    if restore_kind is not None:
        return restore_kind(get_args(annotation), value, where)
    return _restore_plain(annotation, value, where)


def restore_fields(kind: Any, values: Any, where: str) -> Any:
    """Makes a dataclass of the plain values of its fields.

    Args:
        kind: The dataclass.
        values: The values by field.
        where: Names the settings in messages.

    Raises:
        MMParetoError: If they are no such settings; the message names one.
    """
    declared = {field.name for field in fields(kind) if field.init}
    if not isinstance(values, dict):
        raise _unfit(where, f"settings of {kind.__name__}", values)
    for name in values:
        if name not in declared:
            raise _unfit(where, f"settings out of {', '.join(sorted(declared))}", name)
    settings: dict[str, Any] = {}
    annotations = get_type_hints(kind)
    for name, value in values.items():
        settings[name] = restore(annotations[name], value, f"{where}, `{name}`")
    try:
        return kind(**settings)
    except (MMParetoError, TypeError, ValueError, ArithmeticError, OSError) as error:
        raise MMParetoError(
            f"{where} should be settings of {kind.__name__}. Found: {error}."
        ) from error


def _restore_choice(base: type, value: Any, where: str) -> Any:
    """A class of a catalogue: a name, or a class path and arguments."""
    choice = {CLASS: value} if isinstance(value, str) else value
    if base is Optimizer and isinstance(value, dict) and CLASS not in value:
        choice = {CLASS: SGD.name, ARGUMENTS: value}  # as it is stored
    if not isinstance(choice, dict) or CLASS not in choice or choice.keys() - {CLASS, ARGUMENTS}:
        raise _unfit(where, f"a name, or `{CLASS}` and `{ARGUMENTS}`", value)
    known, path = known_classes(base), choice[CLASS]
    if not isinstance(path, str) or path not in known:
        names = [name for name in known if "." not in name]
        raise MMParetoError(
            f"{where} should be one of {', '.join(names)}. Found {_shown(path)}. A class of your "
            "own is known once your program has imported it; on the command line, --trust and the "
            "path of the class import it, which runs its module."
        )
    return restore_fields(known[path], choice.get(ARGUMENTS) or {}, where)


def _restore_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    """The first member that the value fits."""
    if value is None and NoneType in members:
        return None
    error: MMParetoError | None = None
    for member in members:
        try:
            return restore(member, value, where)
        except MMParetoError as unfit:
            error = error or unfit
    assert error is not None
    raise error


def _restore_literal(members: tuple[Any, ...], value: Any, where: str) -> Any:
    for member in members:
        if type(member) is type(value) and member == value:
            return member
    raise _unfit(where, f"one of {', '.join(map(str, members))}", value)


def _restore_tuple(members: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(_restore_list(members[:1], value, where))
    if not isinstance(value, list) or len(value) != len(members):
        raise _unfit(where, f"a list of {len(members)} values", value)
    pairs = zip(members, value, strict=True)
    return tuple(restore(member, item, where) for member, item in pairs)


def _restore_list(members: tuple[Any, ...], value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _unfit(where, "a list", value)
    return [restore(members[0], item, where) for item in value]


def _restore_dict(members: tuple[Any, ...], value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _unfit(where, "a mapping", value)
    restored: dict[Any, Any] = {}
    for key, item in value.items():
        restored[restore(members[0], key, where)] = restore(members[1], item, where)
    return restored


def _restore_plain(annotation: Any, value: Any, where: str) -> Any:
    """A truth value, a number, a text, a path or None; anything else is given in Python only."""
    if annotation is NoneType and value is None:
        return None
    if annotation is bool and isinstance(value, bool):
        return value
    if annotation is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if annotation is float:
        return _restore_float(value, where)
    if annotation in (str, Path) and isinstance(value, str) and "\0" not in value:
        return annotation(value)
    raise _unfit(where, _EXPECTED.get(annotation, "left out: it is given in Python only"), value)


def _restore_float(value: Any, where: str) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML takes 1e-3 for a text
        except (ValueError, OverflowError):
            pass
    raise _unfit(where, _EXPECTED[float], value)


def _unfit(where: str, expected: str, value: Any) -> MMParetoError:
    return MMParetoError(f"{where} should be {expected}. Found {_shown(value)}.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_BY_ORIGIN: dict[Any, Callable[[tuple[Any, ...], Any, str], Any]] = {
    Union: _restore_union,
    UnionType: _restore_union,
    Literal: _restore_literal,
    tuple: _restore_tuple,
    list: _restore_list,
    Sequence: _restore_list,
    dict: _restore_dict,
    Mapping: _restore_dict,
}
_EXPECTED = {
    NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}
