"""Names that come from data: columns, classes, methods. They are no paths and no markup."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")  # devices of Windows
_OTHER = re.compile(r"[^a-z0-9_-]+")


def file_name(name: str) -> str:
    """The name of the file or folder that belongs to a name.

    It stays as it is where it is plain: lower-case letters, digits, hyphen and underscore. Others
    keep what they have of these, and a tilde and a digest tell them apart, also on file systems
    that take upper and lower case as equal.

    Args:
        name: Any text.

    Returns:
        One component of a path, safe on every system; different names have different ones.

    Example:
        >>> file_name("left-eye"), file_name("/etc/passwd")
        ('left-eye', 'etc-passwd~74acf3184453')
    """
    if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_OTHER.sub('-', name.lower()).strip('-')[:40]}~{digest[:12]}"


def printable(text: str) -> str:
    r"""Text as it may be shown: what would steer a terminal, or is invisible, is written out.

    Args:
        text: Any text; its lines stay lines.

    Returns:
        The text with escapes in place of control and formatting characters.

    Example:
        >>> print(printable("left\x1b[2Jeye"))
        left\x1b[2Jeye
    """
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape").decode()
