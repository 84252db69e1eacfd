"""Compiled encoders. Where their backward pass reuses ("donates") its buffers it can run once only.

PyTorch compiles it upon the first backward pass, without donation if that keeps the graph, as the
first of several does. It is compiled beforehand for dynamic shapes, such as those of a smaller last
batch.
"""

from __future__ import annotations

import copy
import importlib
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
from mmpareto.gradients import _torch_compat
from mmpareto.gradients._graph import nodes
from mmpareto.gradients._torch_compat import _copy_with_strides
from networks import LateFusion
from slow_step import COMPARED, apart

REMEDY = r"`torch._functorch.config.donated_buffer = False` before the module is first called"

compared = pytest.mark.parametrize("method", COMPARED, ids=str)


@pytest.fixture(autouse=True)
def _compile_anew() -> Iterator[None]:
    """Neither earlier tests nor PyTorch's cache on disk decide what is compiled."""
    torch.compiler.reset()
    with (
        torch._functorch.config.patch(donated_buffer=True, enable_autograd_cache=False),
        torch._inductor.config.patch(fx_graph_cache=False),
    ):
        yield
    torch.compiler.reset()


class Chain(nn.Module):
    """Has elementwise functions to be fused, in whose backward pass inductor overwrites donated
    buffers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.norm = (
            nn.ModuleList(nn.Linear(16, 16) for _ in range(2)),
            nn.LayerNorm(16),
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.norm(layer(x).tanh().exp()).relu()
        return x * x.sigmoid()


def compiled(eager: LateFusion, backend: str, dynamic: bool | None = None) -> LateFusion:
    model = copy.deepcopy(eager)
    for name, encoder in model.encoders.items():
        model.encoders[name] = torch.compile(encoder, backend=backend, dynamic=dynamic)
    return model


def both(backend: str = "aot_eager", dynamic: bool | None = None) -> tuple[LateFusion, LateFusion]:
    eager = LateFusion("audio", "visual")
    for encoder in eager.encoders.values():
        encoder.insert(
            2, nn.LayerNorm(6).double()
        )  # saves what is neither input nor output of the graph
    return eager, compiled(eager, backend, dynamic)


def step(
    model: LateFusion, method: mp.Method, size: int, **options: bool
) -> dict[str, Tensor | None]:
    model.zero_grad()
    mp.backward(model.losses(model.batch(size=size)), model.partition, method, **options)
    return {
        name.replace("._orig_mod", ""): parameter.grad
        for name, parameter in model.named_parameters()
    }


def refused(model: LateFusion, call: object, match: str = REMEDY) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7)
    with pytest.raises(mp.MMParetoError, match=match):
        call()
    assert all((parameter.grad == 7).all() for parameter in model.parameters())


@compared
def test_as_eager(method: mp.Method) -> None:
    eager, model = both()
    for size in (6, 6):
        assert apart(step(model, method, size), step(eager, method, size)) <= 1e-12


@pytest.mark.parametrize("dynamic", [None, True], ids=["automatic", "dynamic"])
def test_as_eager_whatever_came_before_without_donation(dynamic: bool | None) -> None:
    eager, model = both(dynamic=dynamic)
    with torch._functorch.config.patch(donated_buffer=False):
        sum(model.losses(model.batch()).values()).backward()
        for size in (6, 4, 3):
            for method in COMPARED:
                assert apart(step(model, method, size), step(eager, method, size)) <= 1e-12


BEFORE = {
    "a plain pass": lambda model: sum(model.losses(model.batch()).values()).backward(),
    "one objective": lambda model: mp.backward(
        {"joint": model.losses(model.batch())["joint"]}, model.partition, mp.MGDA()
    ),
    "without geometry": lambda model: step(model, mp.Uniform(), 6, geometry=None),
    "another size": lambda model: step(model, mp.MGDA(), 5),
    "nothing, but dynamic shapes": lambda model: None,
}


@pytest.mark.parametrize("before", BEFORE)
def test_donated_buffers_are_refused(before: str) -> None:
    model = both(dynamic=True if "dynamic" in before else None)[1]
    BEFORE[before](model)
    losses = lambda: model.losses(model.batch())  # noqa: E731
    refused(model, lambda: mp.backward(losses(), model.partition, mp.MMPareto()))
    refused(model, lambda: mp.backward(losses(), model.partition, mp.Uniform()))
    refused(model, lambda: mp.BalancedLoss(model.partition, mp.MMPareto())(losses()).backward())
    refused(model, lambda: mp.Accumulation(model.partition, mp.MMPareto()).add(losses()))


@pytest.mark.parametrize("before", BEFORE)
def test_one_pass_may_have_donated_buffers(before: str) -> None:
    eager, model = both(dynamic=True if "dynamic" in before else None)
    BEFORE[before](model)
    for size in (6, 4):
        got, want = (step(net, mp.ScaledUniform(), size, geometry=None) for net in (model, eager))
        assert apart(got, want) <= 1e-12


@pytest.fixture(scope="module")
def inductor() -> None:
    if shutil.which("g++") is None:
        pytest.skip("inductor needs a compiler")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what it imports uses torch.jit
        importlib.import_module("torch._inductor.compile_fx")


@pytest.mark.usefixtures("inductor")
def test_overwritten_buffers() -> None:
    """Where PyTorch does not refuse a second pass, it is right all the same.

    The option set too late is one such case. Inductor's cache on disk is another: it hands out a
    backward pass that overwrites its buffers even to those who switched that off.
    """
    torch.manual_seed(0)
    eager, head, x = Chain(), nn.Linear(16, 2), torch.randn(32, 16)
    model = copy.deepcopy(eager)
    model.compile(backend="inductor")

    def losses(net: nn.Module) -> dict[str, Tensor]:
        features = net(x)
        return {"joint": head(features).square().mean(), "audio": -features.mean()}

    def balanced(net: nn.Module) -> list[Tensor]:
        net.zero_grad()
        mp.backward(losses(net), {"audio": net}, mp.MMPareto())
        return [parameter.grad for parameter in net.parameters()]

    def passes(net: nn.Module) -> list[Tensor]:
        joint, audio = losses(net).values()
        return [
            *torch.autograd.grad(joint, net.parameters(), retain_graph=True),
            *torch.autograd.grad(audio, net.parameters()),
        ]

    model(x).sum().backward()
    with pytest.raises(mp.MMParetoError, match=REMEDY):
        balanced(model)
    with torch._functorch.config.patch(donated_buffer=False):
        assert not same(passes(model), passes(eager)), (
            "PyTorch is right by itself: `keep_buffers` may go"
        )
        assert same(balanced(model), balanced(eager))


def same(got: list[Tensor], want: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(got, want, strict=True))


# Whole models, which read parts of what a compiled graph saved.


class Reader(nn.Module):
    """Reads one token of a text, and chunks of a projection, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.text = nn.Sequential(nn.Embedding(17, 8), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 24))
        self.image = nn.Linear(12, 8)
        self.heads = nn.ModuleDict(
            {"joint": nn.Linear(16, 3), "text": nn.Linear(8, 3), "image": nn.Linear(8, 3)}
        )

    def forward(self, ids: Tensor, x: Tensor) -> dict[str, Tensor]:
        query, key, value = self.text(ids).chunk(3, -1)
        attended = (query @ key.transpose(-1, -2)).softmax(-1) @ value
        text, image = attended[:, 0], self.image(x).tanh()
        features = {"joint": torch.cat([text, image], 1), "text": text, "image": image}
        return {name: head(features[name]) for name, head in self.heads.items()}

    def losses(self, forward: nn.Module) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(17, (8, 6), generator=generator)
        x, label = torch.randn(8, 12, generator=generator), torch.arange(8)
        losses = {}
        for number, (name, logits) in enumerate(forward(ids, x).items()):
            losses[name] = nn.functional.cross_entropy(logits, (label + number) % 3)
        return losses


def reader_step(
    model: Reader, forward: nn.Module, method: object, **options: object
) -> tuple[dict[str, Tensor | None], mp.StepReport]:
    model.zero_grad()
    partition = mp.Partition(model, text=model.text, image=model.image)
    report = mp.backward(model.losses(forward), partition, method, **options)
    return {name: parameter.grad for name, parameter in model.named_parameters()}, report


@pytest.mark.usefixtures("inductor")
def test_a_transformer_that_reads_one_token() -> None:
    """What is saved is a view with gaps, whose strides inductor asserts."""
    model = Reader()
    want, measured = reader_step(model, model, mp.MMPareto())
    with torch._functorch.config.patch(donated_buffer=False):
        forward = torch.compile(model)
        for _ in range(2):
            got, report = reader_step(model, forward, mp.MMPareto())
            assert apart(got, want) <= 1e-4
    for name, encoder in measured.items():
        assert abs(report[name].cosine - encoder.cosine) <= 1e-4


def test_copies_are_laid_out_as_what_was_saved() -> None:
    base = torch.arange(60.0).view(3, 4, 5)
    layouts = {
        "whole": base,
        "one token": base[:, 0],
        "a chunk": base.chunk(2, -1)[1],
        "transposed": base.transpose(0, 2),
        "every other": base[..., ::2],
        "expanded": base[:1].expand(4, 4, 5),
        "empty": base[:0],
        "a number": base[0, 0, 0],
    }
    for name, saved in layouts.items():
        copied = _copy_with_strides(saved)
        assert torch.equal(copied, saved), name
        assert copied.stride() == saved.stride(), name
        assert saved.numel() == 0 or copied.data_ptr() != saved.data_ptr(), name


def test_parameters_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pass takes copies of is what the forward pass computed."""
    copied: list[int] = []

    def copy_and_note(saved: Tensor) -> Tensor:
        copied.append(saved.untyped_storage().data_ptr())
        return _copy_with_strides(saved)

    monkeypatch.setattr(_torch_compat, "_copy_with_strides", copy_and_note)
    model = both()[1]
    with torch._functorch.config.patch(donated_buffer=False):
        step(model, mp.MMPareto(), 6)
    assert copied
    assert not set(copied) & {p.untyped_storage().data_ptr() for p in model.parameters()}


@pytest.mark.parametrize("kind", ["every", "probe"])
def test_no_grad_is_a_buffer_of_a_compiled_pass(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """In a CUDA graph the next forward pass would overwrite it."""
    handed_out: list[Tensor] = []  # kept, so that no address is used twice
    differentiate = torch.autograd.grad

    def grad(*arguments: object, **options: object) -> tuple[Tensor | None, ...]:
        gradients = differentiate(*arguments, **options)
        # The compiler calls this too, with tensors that have no memory.
        handed_out.extend(gradient for gradient in gradients if type(gradient) is Tensor)
        return gradients

    monkeypatch.setattr(torch.autograd, "grad", grad)
    model = both()[1]
    probe = {name: encoder._orig_mod[-1] for name, encoder in model.encoders.items()}
    geometry = mp.Geometry(every=2) if kind == "every" else mp.Geometry(probe=probe)
    with torch._functorch.config.patch(donated_buffer=False):
        for _ in range(2):
            grads = step(model, mp.MMPareto(), 6, geometry=geometry).values()
            written = {grad.data_ptr() for grad in grads if grad is not None}
            assert handed_out
            assert not written & {gradient.data_ptr() for gradient in handed_out}


class Recorded:
    """Stands for what PyTorch keeps of a CUDA graph: on a processor there is none."""

    def __init__(self, loss: Tensor) -> None:
        self.current_node = self
        node = next(filter(_torch_compat.is_compiled, nodes(loss)))
        self.storages = [saved.untyped_storage() for saved in node.saved_tensors]

    def get_manager(self, index: int, *, create_if_none_exists: bool) -> Recorded:
        assert index == 0
        assert not create_if_none_exists
        return self

    def path_live_weakrefs(self) -> list[torch.UntypedStorage]:
        return self.storages


def test_a_cuda_graph_is_refused_where_it_is_passed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its backward pass expects in one place what is copied: it would be recorded for ever."""
    model = both()[1]
    losses = model.losses(model.batch(size=6))
    trees = Recorded(losses["audio"])
    monkeypatch.setitem(sys.modules, "torch._inductor.cudagraph_trees", trees)
    refused(model, lambda: mp.backward(losses, model.partition, mp.MMPareto()), "no-cudagraphs")
    mp.backward(losses, model.partition, mp.Uniform(), geometry=None)


def test_a_cuda_graph_of_another_module_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    model, other = both()[1], both()[1]
    trees = Recorded(other.losses(other.batch(size=6))["audio"])
    monkeypatch.setitem(sys.modules, "torch._inductor.cudagraph_trees", trees)
    with torch._functorch.config.patch(donated_buffer=False):
        step(model, mp.MMPareto(), 6)


def test_the_remedy_for_donated_buffers_runs() -> None:
    """As it stands, in a process that has imported torch alone."""
    import_line, setting = re.findall("`(.*?)`", _torch_compat._REMEDIES["donated buffer"])
    check = "assert not torch._functorch.config.donated_buffer"
    code = "\n".join(["import torch", import_line, setting, check])
    subprocess.run([sys.executable, "-c", code], check=True)


def mean(gramian: Tensor) -> Tensor:
    return torch.full((len(gramian),), 1 / len(gramian), dtype=gramian.dtype)


def inverse(gramian: Tensor) -> Tensor:
    return 1 / gramian.diagonal().sqrt()


WEIGHTINGS: dict[str, Callable[[], object]] = {
    "mean": lambda: mean,
    "inverse length": lambda: inverse,
    "TorchJD MGDA": lambda: torchjd("MGDAWeighting"),
    "TorchJD Aligned-MTL": lambda: torchjd("AlignedMTLWeighting"),
    "MMPareto": mp.MMPareto,
    "MGDA": mp.MGDA,
}


def torchjd(name: str) -> object:
    module = pytest.importorskip("torchjd.aggregation", reason="TorchJD is optional")
    return getattr(module, name)()


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("sides", ["own", "all"])
def test_zeros_that_a_compiled_model_makes_up_are_no_objectives(sides: str, weighting: str) -> None:
    """Compiled as one, every loss reaches every encoder, with a gradient of zero."""
    model, method = Reader(), WEIGHTINGS[weighting]()
    geometry = mp.Geometry(sides=sides)
    want, _ = reader_step(model, model, method, geometry=geometry)
    with torch._functorch.config.patch(donated_buffer=False):
        forward = torch.compile(model, backend="aot_eager")
        got, report = reader_step(model, forward, method, geometry=geometry)
    assert report["text"].objectives == ("joint", "text", "image")
    assert report["text"].norms["image"] == 0
    assert all(gradient.any() for gradient in got.values())
    assert apart(got, want) <= 1e-4


def test_a_made_up_zero_alone_reaches_an_encoder() -> None:
    """The encoder's gradient is zero then, whatever the weighting."""
    model = Reader()
    with torch._functorch.config.patch(donated_buffer=False):
        losses = model.losses(torch.compile(model, backend="aot_eager"))
        partition = mp.Partition(model, text=model.text, image=model.image)
        mp.backward({"image": losses["image"]}, partition, inverse)
    assert all((p.grad == 0).all() for p in model.text.parameters())
    assert model.image.weight.grad.isfinite().all()
    assert model.image.weight.grad.any()


# A compiled training step.


# Dynamo looks at every attribute of a loss that it hands on.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("call", ["backward", "BalancedLoss", "Accumulation"])
def test_a_compiled_step_leaves_the_library_as_it_is(call: str) -> None:
    """As ``loss.backward()``, it is a break in the graph."""
    model = LateFusion("audio", "visual", dtype=torch.float32)
    partition, batch = model.partition, model.batch()
    accumulation = mp.Accumulation(partition, mp.MMPareto())
    balanced = mp.BalancedLoss(partition, mp.MMPareto())

    def training_step() -> None:
        losses = model.losses(batch)
        if call == "backward":
            mp.backward(losses, partition, mp.MMPareto())
        elif call == "BalancedLoss":
            balanced(losses).backward()
        else:
            accumulation.add(losses)
            accumulation.backward()

    training_step()
    want = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    with torch._functorch.config.patch(donated_buffer=False):
        run = torch.compile(training_step, backend="aot_eager")
        for _ in range(2):
            model.zero_grad()
            run()
            got = {name: parameter.grad for name, parameter in model.named_parameters()}
            assert apart(got, want) <= 1e-4
