"""``mmpareto`` and ``python -m mmpareto``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_NEEDED = (
    "jsonargparse",
    "yaml",
    "rich",
    "jinja2",
    "lightning",
    "tensorboard",
    "sklearn",
    "scipy",
    "matplotlib",
)


def main() -> int:
    """Runs the command line, or says how to install what it needs."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        install = "pip install 'mmpareto[cli]'"
        print(  # noqa: T201
            f"mmpareto: error: the command line needs {', '.join(missing)}. Run: {install}",
            file=sys.stderr,
        )
        return 2
    from mmpareto.cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
