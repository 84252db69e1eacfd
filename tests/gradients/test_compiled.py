"""Compiled encoders. Where their backward pass reuses ("donates") its buffers it can run once only.

PyTorch compiles it upon the first backward pass, without donation if that keeps the graph, as the
first of several does. It is compiled beforehand for dynamic shapes, such as those of a smaller last
batch.
"""

from __future__ import annotations

import copy
import importlib
import shutil
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import mmpareto as mp
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


@pytest.mark.usefixtures("inductor")
def test_saved_views_with_gaps() -> None:
    """As of a transformer of which one token is read; compiled code asserts strides."""
    torch.manual_seed(0)
    text, image = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.GELU()), nn.Linear(3, 4)
    joint, head = nn.Linear(8, 2), nn.Linear(4, 2)
    model = nn.ModuleList([text, image, joint, head])

    def read(tokens: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        one, two = text(tokens)[:, 0], image(pixels)
        return joint(torch.cat([one, two], 1)), head(one)

    tokens, pixels = torch.randint(9, (5, 6)), torch.randn(5, 3)
    results = []
    with torch._functorch.config.patch(donated_buffer=False):
        for function in (read, torch.compile(read)):
            model.zero_grad()
            both_logits = function(tokens, pixels)
            losses = {"joint": both_logits[0].mean(), "text": both_logits[1].square().mean()}
            mp.backward(losses, mp.Partition(model, text=text, image=image), mp.MMPareto())
            results.append([parameter.grad.clone() for parameter in model.parameters()])
    for eager, compiled_one in zip(*results, strict=True):
        torch.testing.assert_close(eager, compiled_one)


def test_a_function_of_ones_own_sees_no_made_up_zeros() -> None:
    """A compiled model gives zero gradients to what a loss does not depend on."""
    eager, shapes = LateFusion("audio", "visual"), []

    def weighting(gramian: Tensor) -> Tensor:
        shapes.append(len(gramian))
        return 1 / gramian.diagonal().sqrt()

    batch = eager.batch()
    for losses_of in (eager.losses, torch.compile(eager.losses, backend="aot_eager")):
        eager.zero_grad()
        mp.backward(losses_of(batch), eager.partition, weighting)
    assert shapes == [2, 2, 2, 2]
