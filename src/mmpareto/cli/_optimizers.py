"""Optimizers by name among the arguments of a command."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from mmpareto._storage._yaml import read_yaml
from mmpareto.cli._config_file import class_path, own_defaults, section


def name_torch_optimizer(given: argparse.Namespace, others: list[str]) -> None:
    """A class of torch.optim in place of an optimizer's name is a setting of `TorchOptimizer`.

    Args:
        given: What is given by name; changed.
        others: The other arguments; added to.
    """
    if given.optimizer is not None and given.optimizer.startswith("torch.optim."):
        others += ["--optimizer.path", given.optimizer]
        given.optimizer = "torch"


def settings_of_optimizer(given: argparse.Namespace) -> list[str]:
    """The defaults of an optimizer that is given by name, but where a file has its settings.

    jsonargparse gives the settings of a class that was chosen before, such as the parser's default,
    to another that has such settings.
    """
    if given.optimizer is None:
        return []
    path = class_path("optimizer", given.optimizer)
    for file in filter(os.path.isfile, given.config):
        stored = section("optimizer", read_yaml(Path(file)).get("optimizer"))
        if stored is not None and stored["class_path"] == path:
            return []
    defaults = own_defaults(path).items()
    return [f"--optimizer.{name}={json.dumps(default)}" for name, default in defaults]
