"""Exported programs compute what the trained model does, wherever they are loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from served_table import rows, training, write

import mmpareto
from mmpareto.cli import main
from mmpareto.errors import MMParetoError
from mmpareto.specs import Shape, Text
from mmpareto.training import _export as exporting
from mmpareto.training import export
from mmpareto.training.run import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(training(write(folder, rows())), folder / "run", progress=False)
    return folder / "run"


def test_torch_loads_the_program_without_the_library(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    assert main(["export", str(trained), "--to", "torch", "--out", str(path)]) == 0
    model = mmpareto.load(trained)
    batches = [exporting.examples(model.shapes, size) for size in (1, 2, 7)]
    torch.save(batches, tmp_path / "inputs.pt")
    code = (
        "import sys, torch\n"
        "program = torch.export.load('model.pt2').module()\n"
        "torch.save([program(batch) for batch in torch.load('inputs.pt')], 'outputs.pt')\n"
        "assert 'mmpareto' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for inputs, computed in zip(batches, torch.load(tmp_path / "outputs.pt"), strict=True):
        torch.testing.assert_close(computed, model.expect(inputs))


def test_onnxruntime_computes_what_the_model_does(trained: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    assert main(["export", str(trained), "--out", str(path)]) == 0
    model, session = mmpareto.load(trained), onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    assert names == [f"expected/{name}" for name in ("joint", *model.shapes)]
    sizes = {each.shape[0] for each in (*session.get_inputs(), *session.get_outputs())}
    assert sizes == {"batch"}
    for size in (1, 2, 7):
        inputs = exporting.examples(model.shapes, size)
        outputs = session.run(None, {name: values.numpy() for name, values in inputs.items()})
        for name, computed in zip(names, outputs, strict=True):
            expected = model.expect(inputs)[name.removeprefix("expected/")]
            np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-5)
    check_card((tmp_path / "MODEL_CARD.md").read_text())


def check_card(card: str) -> None:
    for said in (
        '["cat", "dog"]',
        "train 16, val 8, test 8",
        "column `split`",
        "seed: 0",
        "| without any input | | 0.5000 |",
        "no pretrained weights",
        '"note": int64, tokens from 0 (none) to 4095, [batch, 24]',
        'InferenceSession("model.onnx")',
    ):
        assert said in card, said


def test_a_program_that_computes_something_else_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(module: exporting.Expecting, shapes: dict[str, Shape]) -> tuple[bytes, object]:
        return b"", lambda inputs: {n: v + 2e-3 for n, v in module(inputs).items()}

    monkeypatch.setitem(exporting._EXPORTERS, "torch", wrong)
    with pytest.raises(MMParetoError, match=r"difference of 0\.002 in 'joint' for a batch of 1"):
        export(trained, "torch", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_another_models_card_stays(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "MODEL_CARD.md").write_text("# Mine")
    with pytest.raises(MMParetoError, match=r"without a MODEL_CARD\.md of another model"):
        export(trained, "torch", tmp_path / "model.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["MODEL_CARD.md"]


def test_what_is_not_installed_is_said(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MMParetoError, match=r"pip install 'mmpareto\[export\]'"):
        export(trained, "onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_examples_are_in_the_range_of_tokens() -> None:
    batch = exporting.examples({"note": Text(4, 3)}, 100)["note"]
    assert batch.unique().tolist() == [0, 1, 2]
