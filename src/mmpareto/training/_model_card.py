"""What goes with an exported model: where it comes from, what it is worth, how to load it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmpareto._storage._files import read_text
from mmpareto._storage._names import printable
from mmpareto.errors import MMParetoError
from mmpareto.specs import Classes, Labels, Shape, Text
from mmpareto.training._config_file import describe
from mmpareto.training._folder import Metrics
from mmpareto.training._known_classes import class_path
from mmpareto.training._trained_model import TrainedModel

CARD = "MODEL_CARD.md"
_FIRST = "# Model card of a training by mmpareto"

_LOADING = {
    "torch": """import torch

program = torch.export.load({file}).module()
expected = program(inputs)  # by "joint" and modality""",
    "onnx": """import onnxruntime

session = onnxruntime.InferenceSession({file})
names = [output.name for output in session.get_outputs()]  # "expected/joint" and so on
expected = dict(zip(names, session.run(None, inputs)))""",
}


def check_card(path: Path) -> None:
    """Raises if there is a card of something else, which would be lost."""
    if path.exists() and not read_text(path).startswith(_FIRST):
        raise MMParetoError(
            f"Parameter `out` should be in a folder without a {CARD} of another model. Found "
            f"{path}. Choose another folder."
        )


def model_card(trained: TrainedModel, metrics: Metrics, file: str, to: str) -> str:
    """The card of an exported model, in Markdown.

    What comes from data stands in blocks of code, where it is no markup.

    Args:
        trained: The model.
        metrics: Its scores.
        file: Name of the exported file.
        to: Its format.
    """
    config, interface = trained.config, trained.interface
    paragraphs = [
        _FIRST,
        "It predicts " + _predicts(trained),
        "## Data",
        *_data(trained),
        "## Scores",
        _scores(trained, metrics),
        "## Training",
        "All settings but for paths, as `mmpareto train --config` takes them:",
        _code(_yaml(describe(config, paths=False))),
        "## Inputs and outputs",
        "A tensor for each modality, its first dimension the batch, of any size; all modalities "
        "are needed. For rows with gaps, and for the preprocessing, use `mmpareto.load`.",
        _code("\n".join(_inputs(interface.shapes))),
        "Outputs are probabilities by class, or numbers in their own units, float32: of all "
        "modalities together (`joint`), and of each.",
        _code(_LOADING[to].format(file=json.dumps(file))),
        "## Licence",
        *_licence(trained),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _predicts(trained: TrainedModel) -> str:
    target = trained.target
    if not isinstance(target, Classes | Labels):
        return f"a number:\n\n{_code(json.dumps(getattr(target, 'name', '')))}"
    kind = "one of these classes" if isinstance(target, Classes) else "any of these labels"
    return f"{kind}, in this order:\n\n{_code(json.dumps(target.names, ensure_ascii=False))}"


def _data(trained: TrainedModel) -> Iterator[str]:
    data, sizes = trained.config.data, trained.interface.sizes
    yield f"Data set `{data.name}`. {data.citation}"
    yield from data.notes
    yield "Samples: " + ", ".join(f"{part} {size:,}" for part, size in sizes.items()) + "."
    yield f"What divides them:\n\n{_code(trained.interface.division)}"


def _scores(trained: TrainedModel, metrics: Metrics) -> str:
    target = trained.target
    lines = [f"| {target.title} | validation | test |", "|---|---:|---:|"]
    for name, score in metrics.get("test", {}).items():
        objective = printable(name.removesuffix(f"_{target.metric}")).replace("|", "/")
        validation = metrics.get("val", {}).get(name, float("nan"))
        lines.append(f"| `{objective}` | {validation:.4f} | {score:.4f} |")
    lines.append(f"| without any input | | {trained.interface.guess:.4f} |")
    note = (
        "The epoch was selected on validation; test was read once. Without any input: the most "
        "frequent class of the training part, or its mean. Seed "
        f"{trained.config.seed}, method `{trained.config.method.name}`. One training says little "
        "about a method."
    )
    return "\n".join(lines) + f"\n\n{note}"


def _inputs(shapes: Mapping[str, Shape]) -> Iterator[str]:
    for name, shape in shapes.items():
        if isinstance(shape, Text):
            size: Sequence[int] = (shape.length,)
            kind = f"int64, tokens from 0 (none) to {shape.vocabulary - 1}"
        else:
            size, kind = shape, "float32"
        yield f"{json.dumps(name)}: {kind}, [batch, {', '.join(map(str, size))}]"


def _licence(trained: TrainedModel) -> Iterator[str]:
    model = trained.config.model
    if class_path(type(model)).startswith("mmpareto."):
        yield (
            "All encoders were trained from scratch: no pretrained weights are in this model. "
            "Their code is that of mmpareto, and of transformers where ResNet-18 was chosen: both "
            "Apache-2.0."
        )
    else:
        yield "The model is of a class from outside mmpareto: its licence is not known here."
    tokenizer = getattr(trained.config.data, "tokenizer", None)
    if tokenizer is not None:
        yield "Texts are divided by a tokenizer from outside, whose licence is not known here."
    yield "The licence of the data goes for what was learned from them; it is not known here."


def _code(text: str) -> str:
    """Text in a block that nothing in it can end."""
    return "\n".join(f"    {line}" for line in printable(text).split("\n"))


def _yaml(content: Any) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).rstrip()
