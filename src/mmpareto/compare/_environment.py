"""Where numbers were measured."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mmpareto.compare._disclosure import shareable_command

_PACKAGES = ("mmpareto", "torch", "lightning", "numpy", "scikit-learn")


def environment() -> dict[str, Any]:
    """Date, command, machine and versions: what a number must be stated with.

    It holds no path, host name or secret of the command line.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shareable_command([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "packages": dict(zip(_PACKAGES, map(version, _PACKAGES), strict=True)),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
