"""The benchmarks are no part of the package: they are found from the repository."""

import sys
from pathlib import Path

REPOSITORY = str(Path(__file__).parents[2])
if REPOSITORY not in sys.path:  # `python -m pytest` has put it there
    sys.path.append(REPOSITORY)
