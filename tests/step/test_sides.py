"""Two sides on an encoder: its own objective, and the sum of all others that reach it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import mmpareto as mp
from families import EACH_BY_ITSELF, FAMILIES, gradients, step
from loop_cases import Case, fusion
from networks import METHODS, LateFusion, every_method, inverse_lengths
from slow_step import COMPARED, apart, expected, received

GAMMA = 1.5
OWN = 1  # number of the objective of the encoder's own name, in the families
TWO_SIDES, OWN_AGAINST_JOINT = mp.Geometry(), mp.Geometry(sides="joint")
INTEGRATING = {
    "MMPareto": mp.MMPareto(),
    "MMPareto of tensors": mp.MMPareto(granularity="tensor"),
    "MGDA": mp.MGDA(),
    "custom": mp.balancing.CustomWeighting(inverse_lengths),
}
integrating = pytest.mark.parametrize("method", INTEGRATING.values(), ids=INTEGRATING)
every_rule = pytest.mark.parametrize("rule", ["own", "all", "joint"])


def summed(g: Tensor) -> Tensor:
    """The gradients of the two sides, as those of two objectives."""
    others = torch.cat([g[:OWN], g[OWN + 1 :]])
    return torch.stack([others.sum(0), g[OWN]])


def on(*families: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Checks a property on these families, for three to ten objectives."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        test = settings(max_examples=8)(
            given(m=st.sampled_from((3, 4, 6, 10)), seed=st.integers(0, 999))(test)
        )
        return pytest.mark.parametrize("family", families)(test)

    return decorate


@integrating
@on("generic", "aligned", "conflicting", "leaning", "orthogonal", "duplicate", "one-zero")
def test_two_sides_are_two_objectives(
    family: str, m: int, seed: int, method: mp.GradientIntegration
) -> None:
    g = gradients(family, m, seed)
    two, sides_report = step(summed(g), method)
    got, report = step(g, method, geometry=TWO_SIDES)
    size = g.norm(dim=1).sum() * report["m1"].applied.abs().amax()
    assert (got - two).norm() <= 1e-9 * size
    assert torch.allclose(
        report["m1"].side_gramian, sides_report["m1"].gramian, rtol=1e-9, atol=1e-9
    )


@on("generic", "aligned", "conflicting", "leaning", "orthogonal", "duplicate")
def test_both_sides_descend(family: str, m: int, seed: int) -> None:
    g = gradients(family, m, seed)
    h, _ = step(g, mp.MMPareto(), geometry=TWO_SIDES)
    assert (summed(g) @ h > 0).all()


@on(*FAMILIES)
def test_no_side_is_gone_against(family: str, m: int, seed: int) -> None:
    g = gradients(family, m, seed)
    h, report = step(g, mp.MMPareto(), geometry=TWO_SIDES)
    size = report["m1"].applied @ g.norm(dim=1)
    assert (summed(g) @ h >= -1e-12 * m * size * g.norm(dim=1).sum()).all()


@on("aligned", "leaning", "equal")
def test_sides_that_agree_give_the_scaled_sum(family: str, m: int, seed: int) -> None:
    g = gradients(family, m, seed)
    want, _ = step(g, mp.ScaledUniform(GAMMA))
    for granularity in ("encoder", "tensor"):
        got, _ = step(g, mp.MMPareto(GAMMA, granularity), geometry=TWO_SIDES)
        assert torch.equal(got, want)


@on("orthogonal", "generic", "far-apart")
def test_sides_that_conflict_give_their_min_norm_direction(family: str, m: int, seed: int) -> None:
    g = gradients(family, m, seed)
    h, report = step(g, mp.MMPareto(GAMMA), geometry=TWO_SIDES)
    others, own = summed(g)
    assume(others @ own <= 0)
    assert report["m1"].conflict
    share = ((own @ own - others @ own) / (others - own).square().sum()).clamp(0, 1)
    shortest = share * others + (1 - share) * own
    assume(shortest.norm() > 1e-6 * own.norm())
    want = GAMMA * (others + own).norm() * shortest / shortest.norm()
    assert (h - want).norm() <= 1e-8 * h.norm()


@pytest.mark.parametrize("m", [3, 4, 6])
def test_a_side_that_cancels_leaves_the_other(m: int) -> None:
    """Its length is rounding error, from which no direction is made."""
    for seed in range(20):
        g = gradients("generic", m, seed)
        g[-1] = -(g[:OWN].sum(0) + g[OWN + 1 : -1].sum(0))
        h, report = step(g, mp.MMPareto(GAMMA), geometry=TWO_SIDES)
        torch.testing.assert_close(h, GAMMA * g[OWN], rtol=1e-12, atol=1e-12)
        assert not report["m1"].conflict
        assert report["m1"].cosine == 0
        shortest, _ = step(g, mp.MGDA(), geometry=TWO_SIDES)
        torch.testing.assert_close(shortest, g[OWN], rtol=1e-12, atol=1e-12)


def test_sides_that_cancel_each_other_make_no_step() -> None:
    for seed in range(20):
        g = gradients("generic", 4, seed)
        g[OWN] = -(g.sum(0) - g[OWN])
        h, report = step(g, mp.MMPareto(GAMMA), geometry=TWO_SIDES)
        assert report["m1"].conflict
        assert h.norm() <= 1e-6 * g.norm(dim=1).sum()


@every_method
@pytest.mark.parametrize("modalities", [("audio",), ("audio", "visual", "text")], ids=len)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_late_fusion_is_the_same_by_every_rule(
    modalities: tuple[str, ...], dtype: torch.dtype, method: mp.Method
) -> None:
    """Bit for bit: two objectives reach an encoder, and each is a side."""
    steps = []
    for geometry in (TWO_SIDES, OWN_AGAINST_JOINT, EACH_BY_ITSELF):
        model = LateFusion(*modalities, dtype=dtype)
        for seed in range(4):
            losses = model.losses(model.batch(seed))
            report = mp.backward(losses, model.partition, method, geometry=geometry)
        steps.append(([parameter.grad for parameter in model.parameters()], report))
    (want, measured), *others = steps
    for got, report in others:
        assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
        for name in modalities:
            assert torch.equal(report[name].gramian, measured[name].gramian)
            assert torch.equal(report[name].applied, measured[name].applied)


@every_rule
@pytest.mark.parametrize("method", COMPARED, ids=str)
@pytest.mark.parametrize("count", [2, 3, 7])
def test_dense_models_are_stepped_as_the_slow_step_does(
    count: int, method: mp.Method, rule: str
) -> None:
    case, conflicts = fusion(count, dense=True), 0
    for seed in range(4):
        losses = case.losses(seed)
        want = expected(losses, case.model.parameters(), case.encoders, method, rule)
        case.model.zero_grad()
        report = mp.backward(losses, case.encoders, method, geometry=mp.Geometry(sides=rule))
        assert apart(received(case.model.parameters()), want) <= 1e-10
        conflicts += sum(int(encoder.conflict) for encoder in report.values())
    assert conflicts


def test_rules_differ_in_dense_models() -> None:
    steps = []
    for rule in ("own", "all", "joint"):
        case = fusion(3, dense=True)
        mp.backward(case.losses(0), case.encoders, mp.MMPareto(), geometry=mp.Geometry(sides=rule))
        steps.append(dict(case.encoders.named_parameters()))
    grads = [{name: p.grad for name, p in parameters.items()} for parameters in steps]
    assert min(apart(grads[i], grads[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3


@integrating
def test_own_against_joint_leaves_others_out(method: mp.Method) -> None:
    g = gradients("generic", 4)
    got, report = step(g, method, geometry=OWN_AGAINST_JOINT)
    two, _ = step(g[:2], method)
    torch.testing.assert_close(got, two, rtol=1e-12, atol=1e-14)
    assert (report["m1"].applied.reshape(-1, 4)[:, 2:] == 0).all()
    g[3, 2] = torch.inf  # zero times infinity would not be zero
    again, _ = step(g, method, geometry=OWN_AGAINST_JOINT)
    torch.testing.assert_close(again, two, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["every", "probe"])
def test_own_against_joint_leaves_others_out_of_a_shared_pass(kind: str) -> None:
    """Also where what they give is not finite."""
    bottom, top = nn.Linear(3, 3).double(), nn.Linear(3, 3).double()
    ear = nn.Sequential(bottom, nn.Tanh(), top)
    eye, head = nn.Linear(3, 3).double(), nn.Linear(3, 1).double()
    encoders = mp.Partition(audio=ear, visual=eye)
    geometry = mp.Geometry(
        sides="joint",
        every=2 if kind == "every" else 1,
        probe={"audio": top} if kind == "probe" else None,
    )

    def losses(factor: float) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
        audio, visual = ear(x), eye(x)
        foreign = factor * (visual * audio.detach() + audio).square().mean()
        joint = head(audio + visual).square().mean()
        return {"joint": joint, "audio": (audio - 1).square().mean(), "visual": foreign}

    steps = []
    for factor in (1.0, torch.inf):
        geometry.load_state_dict(mp.Geometry(every=geometry.every).state_dict())
        mp.backward(losses(1.0), encoders, mp.MMPareto(), geometry=geometry)
        if kind == "probe":
            geometry.load_state_dict(mp.Geometry().state_dict())
        for parameter in (*ear.parameters(), *eye.parameters(), *head.parameters()):
            parameter.grad = None
        mp.backward(losses(factor), encoders, mp.MMPareto(), geometry=geometry)
        steps.append([parameter.grad.clone() for parameter in ear.parameters()])
    for first, second in zip(*steps, strict=True):
        torch.testing.assert_close(second, first, rtol=1e-12, atol=0)


@every_method
@every_rule
def test_reports_keep_the_full_gramian(rule: str, method: mp.Method) -> None:
    g = gradients("conflicting", 4)
    _, report = step(g, method, geometry=mp.Geometry(sides=rule))
    encoder = report["m1"]
    assert encoder.objectives == ("joint", "m1", "m2", "m3")
    torch.testing.assert_close(encoder.gramian, g @ g.T, rtol=1e-12, atol=1e-12)
    for name, length in zip(encoder.objectives, g.norm(dim=1), strict=True):
        torch.testing.assert_close(encoder.norms[name], length, rtol=1e-12, atol=0)
    assert tuple(encoder.weights) == encoder.objectives


def directions(joint: list[float], own: list[float], foreign: list[float]) -> Tensor:
    return torch.nn.functional.pad(torch.tensor([joint, own, foreign]).double(), (0, 11))


def test_cosine_and_conflict_are_those_of_the_sides() -> None:
    agreeing = directions([1.0, 0.0], [1.0, 0.0], [-0.5, 0.0])  # the sum of the others agrees
    report = step(agreeing, mp.MMPareto(), geometry=TWO_SIDES)[1]["m1"]
    assert report.sides == ((0, 2), (1,))
    assert (report.conflict, report.cosine) == (False, 1.0)
    alike = step(agreeing, mp.MMPareto(), geometry=EACH_BY_ITSELF)[1]["m1"]
    assert (alike.conflict, alike.cosine) == (True, -1.0)
    opposed = directions([1.0, 0.0], [1.0, 0.0], [-3.0, 0.0])  # the foreign one outweighs the joint
    assert step(opposed, mp.MMPareto(), geometry=TWO_SIDES)[1]["m1"].conflict
    against_joint = step(opposed, mp.MMPareto(), geometry=OWN_AGAINST_JOINT)[1]["m1"]
    assert not against_joint.conflict
    assert against_joint.sides == ((0,), (1,))
    torch.testing.assert_close(
        report.side_gramian, torch.tensor([[0.25, 0.5], [0.5, 1.0]]).double()
    )


def test_short_foreign_gradients_do_not_take_an_encoder_over() -> None:
    """Each by itself, the foreign objective is the shortest, and its direction that of the step."""
    joint, own, foreign = [1.0, 0.2, 0.0], [2.0, 0.5, 0.0], [-0.01, 0.0, 0.01]
    g = torch.nn.functional.pad(torch.tensor([joint, own, foreign]).double(), (0, 10))
    plain, _ = step(g, mp.Uniform())
    shares = {}
    for name, geometry in {"own": TWO_SIDES, "all": EACH_BY_ITSELF}.items():
        h, _ = step(g, mp.MMPareto(gamma=1.0), geometry=geometry)
        shares[name] = float(h @ g[OWN] / (plain @ g[OWN]))
    assert shares["own"] >= 0.5
    assert shares["all"] < 0.1


def test_a_trunk_without_an_own_objective_keeps_all() -> None:
    case: Case = fusion(2)
    model = case.model
    encoders = {"trunk": nn.ModuleList(model.encoders.values())}
    losses = case.losses(0)
    tasks = {"left": losses["m0"], "right": losses["m1"], "both": losses["joint"]}
    report = mp.backward(tasks, encoders, mp.MMPareto(), retain_graph=True)
    assert report["trunk"].sides == ((0,), (1,), (2,))
    got = received(model.parameters())
    want = expected(tasks, model.parameters(), encoders, mp.MMPareto(), "all")
    assert apart(got, want) <= 1e-10


NEEDING_NO_OTHER = [name for name, method in METHODS.items() if not method.requires]


@every_rule
@pytest.mark.parametrize("name", sorted({*NEEDING_NO_OTHER} - {"custom"}))
def test_an_encoder_with_its_own_objective_alone(name: str, rule: str) -> None:
    """One side is left, by every rule; it is lengthened by methods whose definition says so."""
    encoder, method = nn.Linear(3, 2), METHODS[name]
    losses = {"audio": encoder(torch.ones(4, 3)).square().mean()}
    plain = torch.autograd.grad(losses["audio"], encoder.weight, retain_graph=True)[0]
    geometry = mp.Geometry(sides=rule)
    report = mp.backward(losses, {"audio": encoder}, method, geometry=geometry)
    assert report["audio"].objectives == ("audio",)
    factor = getattr(method, "gamma", 1.0) + getattr(method, "c", 0.0)
    torch.testing.assert_close(encoder.weight.grad, factor * plain)
