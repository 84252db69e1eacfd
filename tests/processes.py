"""Commands whose processes speak to each other over gloo."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

# Groups of PyTorch's that are still there when the interpreter ends may leave a thread of gloo
# unjoined, which aborts the process after all its work is done (pytorch issues 65231, 190489):
# about one FSDP2 script in a hundred here.
ABORTED_AT_EXIT = "terminate called without an active exception"


def run_together(
    command: list[str], environment: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs a command with one thread per process; once more if it aborted at exit."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    for _ in range(3):
        ended = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=timeout, check=False
        )
        if ended.returncode == 0 or ABORTED_AT_EXIT not in ended.stderr:
            break
    return ended
