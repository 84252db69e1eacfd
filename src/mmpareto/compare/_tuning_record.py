"""What a tuning writes into its folder, so that a later one can add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from mmpareto._storage._files import write_atomically, write_json
from mmpareto.compare._cell import Cell
from mmpareto.compare._comparison import Failure
from mmpareto.compare._environment import environment
from mmpareto.compare._record import common_settings
from mmpareto.compare._space import Space, plain
from mmpareto.compare._trials import Trial, write_trials
from mmpareto.partition import JOINT
from mmpareto.training import Metrics, RunConfig


@dataclass(frozen=True)
class TuningRecord:
    """The state of a tuning's folder.

    Args:
        base: The training, but for its method, seed and tuned settings.
        out: The folder.
        cells: All cells, point by point.
        done: Metrics of the cells that are trained.
        failures: The cells that failed.
    """

    base: RunConfig
    out: Path
    cells: Sequence[Cell]
    done: dict[Cell, Metrics] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def folder(self, cell: Cell) -> Path:
        """Folder of a cell."""
        return self.out / "runs" / cell.name

    def trials(self) -> list[Trial]:
        """Validation scores of the cells that are trained, in an order that no race decides."""
        metric = f"{JOINT}_{self.base.data.target.metric}"
        trials: list[Trial] = []
        for cell in self.cells:
            if cell in self.done:
                score = self.done[cell]["val"][metric]
                settings = (
                    "; ".join(f"{name}={value!r}" for name, value in cell.settings) or "defaults"
                )
                assert cell.point is not None
                trials.append(Trial(cell.method, cell.point, cell.seed, settings, metric, score))
        return trials

    def write_results(self) -> None:
        """Writes the validation scores and the failures so far."""
        write_trials(self.out, self.trials())
        failures = sorted(
            map(asdict, self.failures), key=lambda cell: (cell["method"], cell["seed"])
        )
        write_json(self.out / "failures.json", failures)

    def write_description(self, space: Space, counts: Mapping[str, int]) -> None:
        """Writes what is tuned, as `mmpareto tune --config` takes it, and where it is trained.

        Args:
            space: What is tuned.
            counts: Numbers of points and seeds.
        """
        methods = dict.fromkeys(cell.method for cell in self.cells)
        config = {
            "methods": ",".join(methods),
            **counts,
            "space": plain(space),
            **common_settings(self.base),
        }
        write_atomically(
            self.out / "config.yaml", yaml.safe_dump(config, sort_keys=False, width=100)
        )
        if len(self.done) < len(self.cells) or not (self.out / "environment.json").exists():
            content = environment() | {"data": self.base.data.citation}
            write_json(self.out / "environment.json", content)
