"""A trained model as a program of its own: by torch.export, or in ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mmpareto._storage._files import write_atomically
from mmpareto.errors import MMParetoError
from mmpareto.models import MultimodalModel
from mmpareto.specs import Shape, Target, Text
from mmpareto.training._folder import stored_metrics
from mmpareto.training._load import load
from mmpareto.training._model_card import CARD, check_card, model_card
from mmpareto.training._predicted_rows import expectations

_CHECKED = (1, 2, 7)
"""Sizes of batches for which an exported program is compared with its model."""
_TOLERANCE = 1e-4
"""Greatest difference to the model, absolute and relative: kernels add up in other orders."""
_INSTALL = "pip install 'mmpareto[export]'"

Program = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class Expecting(nn.Module):
    """A model whose outputs are what it expects: probabilities, or numbers in their own units.

    Args:
        model: The model.
        target: What it predicts.
    """

    def __init__(self, model: MultimodalModel, target: Target) -> None:
        super().__init__()
        self.model, self.target = model, target

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """For the joint prediction and each modality what is expected, float32 [B, outputs]."""
        logits = self.model(inputs).logits
        expected = expectations(logits, self.target, self.model.joint_is_expected)
        return {name: values.float() for name, values in expected.items()}


def export(run: Path | str, to: str, path: Path) -> None:
    """Writes a trained model as a program that takes batches of any size with all modalities.

    Inputs are tensors of the model's shapes, by modality; outputs what it expects, by ``joint`` and
    modality. The program is compared with the model before it is written. It computes in 32 bits.
    A model card is written beside it.

    Args:
        run: Folder of the training.
        to: ``torch``, for `torch.export.load`, or ``onnx``.
        path: The file.

    Raises:
        MMParetoError: If packages are missing, the model cannot be exported, or the program does
            not compute what the model does; then nothing is written.
    """
    if to not in _EXPORTERS:
        raise MMParetoError(f"Parameter `to` should be {' or '.join(_EXPORTERS)}. Found {to!r}.")
    card = path.parent / CARD
    check_card(card)
    trained = load(run, "cpu")
    module = Expecting(trained.module, trained.target).eval()
    with _quietly():
        try:
            content, program = _EXPORTERS[to](module, trained.shapes)
        except (RuntimeError, ValueError, TypeError) as error:
            if isinstance(error, MMParetoError):
                raise
            found = (str(error).splitlines() or [type(error).__name__])[0]
            raise MMParetoError(
                f"{trained.config.model.name} should be a model that torch.export can follow. "
                f"Found: {found}"
            ) from error
        _check(program, module, trained.shapes, path)
    text = model_card(trained, stored_metrics(Path(run)) or {}, path.name, to)
    write_atomically(path, content)
    write_atomically(card, text)


def _exported(module: Expecting, shapes: Mapping[str, Shape]) -> ExportedProgram:
    any_size = {name: {0: Dim("batch")} for name in shapes}
    return torch.export.export(module, (examples(shapes, 2),), dynamic_shapes=(any_size,))


def _torch(module: Expecting, shapes: Mapping[str, Shape]) -> tuple[bytes, Program]:
    buffer = io.BytesIO()
    torch.export.save(_exported(module, shapes), buffer)
    buffer.seek(0)
    program: Any = torch.export.load(buffer).module()
    return buffer.getvalue(), program


def _onnx(module: Expecting, shapes: Mapping[str, Shape]) -> tuple[bytes, Program]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # what torch.onnx needs
    except ImportError as error:
        raise MMParetoError(
            f"Parameter `to` onnx needs {error.name}. Found none. Run: {_INSTALL}"
        ) from error
    names = ["joint", *shapes]
    named = {name: {0: "batch"} for name in shapes}
    exported: Any = torch.onnx.export(
        _exported(module, shapes),
        input_names=list(shapes),
        output_names=[f"expected/{name}" for name in names],
        dynamic_shapes=(named,),
        verbose=False,
    )
    content: bytes = exported.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def program(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        arrays = {name: values.numpy() for name, values in inputs.items()}
        outputs = map(torch.from_numpy, session.run(None, arrays))
        return dict(zip(names, outputs, strict=True))

    return content, program


_EXPORTERS = {"torch": _torch, "onnx": _onnx}


def _check(program: Program, module: Expecting, shapes: Mapping[str, Shape], path: Path) -> None:
    """Raises unless a program computes what a model does."""
    for size in _CHECKED:
        inputs = examples(shapes, size)
        computed = program(inputs)
        for name, expected in module(inputs).items():
            if not torch.allclose(computed[name], expected, _TOLERANCE, _TOLERANCE):
                difference = float((computed[name] - expected).abs().max())
                raise MMParetoError(
                    f"{path} should compute what the model does. Found a difference of "
                    f"{difference:.2g} in '{name}' for a batch of {size}. Nothing was written. "
                    "Export to the other format, and report it."
                )


def examples(shapes: Mapping[str, Shape], size: int) -> dict[str, Tensor]:
    """A batch of random samples, the same for each size.

    Example:
        >>> examples({"table": (3,), "note": Text(4, 100)}, 2)["note"].shape
        torch.Size([2, 4])
    """
    generator = torch.Generator().manual_seed(size)
    inputs: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if isinstance(shape, Text):
            tokens = (size, shape.length)
            inputs[name] = torch.randint(0, shape.vocabulary, tokens, generator=generator)
        else:
            inputs[name] = torch.randn(size, *shape, generator=generator)
    return inputs


@contextmanager
def _quietly() -> Iterator[None]:
    """Without gradients, and without the exporters' hints to their own authors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
