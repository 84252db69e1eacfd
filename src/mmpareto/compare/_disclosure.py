"""What a report that is sent to others must not tell: paths, host names, secrets."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Sequence
from typing import Any

_HIDDEN = "..."
_SECRET = r"[\w.-]*(?:password|passwd|secret|token|api[_-]?key|credential)[\w.-]*"
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
_SECRET_SETTING = re.compile(rf"({_SECRET}\s*[=:]\s*|--{_SECRET}\s+)[^\s,;]+", re.IGNORECASE)
_USER_OF_ADDRESS = re.compile(r"(\w://)[^\s/@]+@")
_PATH = re.compile(
    r"""(?: file:// | (?<![\w/.~<\\-]) (?!(?<=:)//) (?: ~\w* | [A-Za-z]: )? )
        (?: [/\\]+ (?: [^\s'"/\\:,;)<>] | :(?=\w) )+ )+""",
    re.VERBOSE,
)
_SENTENCE = re.compile(r"[:,]\s|\n|://")  # is no path, though it may begin with one
_SEPARATOR = re.compile(r"[/\\]")
_HOLDER = re.compile(r"(process \d+ on )\S+")  # as messages about locks name it


def shareable(value: Any) -> Any:
    """Plain values without what tells where they come from.

    Of absolute paths the last component stays. Hidden are the user and password of an address, this
    machine's name, and what is set for names such as ``token`` or ``password``.

    Args:
        value: Text, or lists and dictionaries of it.

    Returns:
        The value with dots in place of what is hidden.

    Example:
        >>> shareable("Found no file /home/me/data/mnist.npz.")
        'Found no file .../mnist.npz.'
    """
    if isinstance(value, dict):
        return {key: _setting(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return list(map(shareable, value))
    return _text(value) if isinstance(value, str) else value


def _setting(name: str, value: Any) -> Any:
    return _HIDDEN if _SECRET_NAME.fullmatch(name) and value is not None else shareable(value)


def shareable_command(arguments: Sequence[str]) -> str:
    """A command line as `shareable` text.

    Example:
        >>> shareable_command(["train", "--data.root", "/home/me/my data", "--data.token", "abc"])
        "train --data.root '.../my data' --data.token ..."
    """
    words = []
    is_secret = False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if is_secret:
            words.append(_HIDDEN)
        elif equals and _SECRET_NAME.fullmatch(option):
            words.append(f"{option}={_HIDDEN}")
        elif equals and option.startswith("-"):
            words.append(f"{option}={_text(value)}")
        else:
            words.append(_text(argument))
        is_secret = not equals and bool(_SECRET_NAME.fullmatch(argument))
    return shlex.join(words)


def _text(text: str) -> str:
    hidden = _SECRET_SETTING.sub(rf"\g<1>{_HIDDEN}", text)
    hidden = _USER_OF_ADDRESS.sub(rf"\1{_HIDDEN}@", hidden)
    if _PATH.match(hidden) and not _SENTENCE.search(hidden):
        hidden = _last_component(hidden)
    hidden = _PATH.sub(_shorten, hidden)
    hidden = _HOLDER.sub(rf"\1{_HIDDEN}", hidden)
    host = socket.gethostname()
    if host and host != "localhost":
        hidden = re.sub(rf"\b{re.escape(host)}\b", _HIDDEN, hidden)
    return hidden


def _shorten(match: re.Match[str]) -> str:
    return _last_component(match[0])


def _last_component(path: str) -> str:
    return f"{_HIDDEN}/{_SEPARATOR.split(path.rstrip('/'))[-1]}"
