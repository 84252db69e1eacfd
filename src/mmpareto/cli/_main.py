"""The command line: from its arguments to a command, and to an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from mmpareto.cli import _commands, _evaluation, _serving
from mmpareto.cli._data import data_command
from mmpareto.cli._listing import list_command
from mmpareto.cli._options import make_parser
from mmpareto.cli._parser import expand, expand_name, fail, say
from mmpareto.errors import MMParetoError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: The arguments; None for those of this process.

    Returns:
        Exit code: 0, or 1 if some of what was asked for did not come about.

    Raises:
        SystemExit: With code 2, and one line on standard error, if the command cannot be carried
            out as stated.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():  # which puts back what shows them
            warnings.showwarning = _warner()
            parser = make_parser()
            parsed = parser.parse_args(expand(expand_name(given)))
            settings = parser.instantiate(parsed)[parsed.command]
            return _COMMANDS[parsed.command](settings)
    except MMParetoError as error:
        fail(str(error))
    except OSError as error:
        fail(_refused(error))
    except KeyboardInterrupt:
        say("interrupted; the same command continues where it stopped")
        return 130


def _refused(error: OSError) -> str:
    """What the system refused, and what helps."""
    if error.filename is None:
        return f"the system refused: {error}. Make room for files, or choose another folder."
    return (
        f"{error.filename} should be a file or folder that can be used. Found: {error.strerror}. "
        "Make room, or allow it; the same command continues."
    )


def _warner() -> Callable[..., None]:
    """What shows each warning once, in one line without its place in the code."""
    shown = set()

    def warn(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            say(f"warning: {text}")

    return warn


_COMMANDS = {
    "train": _commands.train,
    "evaluate": _evaluation.evaluate,
    "predict": _serving.predict,
    "export": _serving.export,
    "compare": _commands.compare,
    "tune": _commands.tune,
    "list": list_command,
    "data": data_command,
}
