"""Single numbers among the settings of a training, by dotted names such as ``optimizer.lr``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace

from mmpareto.errors import MMParetoError
from mmpareto.training import RunConfig

SECTIONS = ("optimizer", "schedule", "model", "method")
"""Settings with numbers that may differ between methods, unlike data, epochs and batch size."""


def number(config: RunConfig, name: str) -> float | None:
    """The number that a setting has; None where a training has no such number.

    Args:
        config: The training.
        name: Dotted name of the setting.

    Example:
        >>> from mmpareto import recipes
        >>> number(recipes.cg_digits(), "method.gamma"), number(recipes.cg_digits(), "data.seed")
        (1.5, None)
    """
    section, _, setting = name.partition(".")
    part = getattr(config, section, None) if section in SECTIONS else None
    if not is_dataclass(part) or setting not in {field.name for field in fields(part)}:
        return None
    value = getattr(part, setting)
    return value if type(value) in (int, float) else None


def adjusted(config: RunConfig, settings: Iterable[tuple[str, float]]) -> RunConfig:
    """A training with other numbers; of a setting that counts something, rounded.

    Args:
        config: The training.
        settings: Dotted names and numbers.

    Raises:
        MMParetoError: If the training has no such setting, or the number is none for it.

    Example:
        >>> from mmpareto import recipes
        >>> adjusted(recipes.cg_digits(), [("optimizer.lr", 0.01)]).optimizer.lr
        0.01
    """
    for name, value in settings:
        present = number(config, name)
        if present is None:
            raise MMParetoError(
                "A tuned setting should be a number of the training's "
                f"{', '.join(SECTIONS)}. Found '{name}' for {config.method.name}."
            )
        section, _, setting = name.partition(".")
        exact = round(value) if isinstance(present, int) else value
        part = replace(getattr(config, section), **{setting: exact})
        config = replace(config, **{section: part})
    return config
