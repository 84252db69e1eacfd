"""Twenty steps of each method equal its paper's equations, written out slowly for three
modalities, and it is a plain training in the limit.

A reference says for a batch by what the encoders' gradients are scaled, what is added to the joint
loss and what to gradients; the training around it is plain autograd and plain SGD.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import mmpareto as mp
from balancing.at_work import STEPS_PER_EPOCH, Loop, make_batch, make_model
from mmpareto import balancing
from mmpareto.balancing._kmeans import kmeans
from mmpareto.models import LateFusion

NAMES = ("audio", "visual", "text")


@dataclass
class Slow:
    """A training by hand.

    Args:
        model: The model.
        objectives: What the encoders learn from.
    """

    model: LateFusion
    objectives: tuple[str, ...]
    store: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    weights: dict[str, float] = field(default_factory=dict)

    def look(self, batch: Any) -> None:
        """The forward pass, and each modality's share of the joint logits."""
        self.label = batch["label"]
        self.x = {m: self.model.encoders[m](batch["inputs"][m]) for m in NAMES}
        self.joint = self.model.joint(torch.cat(list(self.x.values()), 1))
        self.heads = {m: self.model.unimodal[m](self.x[m]) for m in NAMES}
        self.shares = {}
        if isinstance(self.model.joint, torch.nn.Linear):
            for number, m in enumerate(NAMES):
                weight = self.model.joint.weight[:, 4 * number : 4 * number + 4]
                share = self.x[m] @ weight.T + self.model.joint.bias / 3
                self.shares[m] = share.detach()

    def truth(self, logits: Tensor) -> Tensor:
        """The probability of each sample's class."""
        chances = []
        for row, label in zip(logits.detach(), self.label, strict=True):
            exponents = [math.exp(float(z)) for z in row]
            chances.append(exponents[int(label)] / sum(exponents))
        return torch.tensor(chances, dtype=torch.float64)


Reference = Callable[[Slow], tuple[dict[str, float], Tensor | float, Any]]


def train(
    slow: Slow, reference: Reference, begin: Callable[[Slow], None] | None, steps: int
) -> Tensor:
    model, momentum = slow.model, {}
    for number in range(steps):
        slow.number, slow.epoch = number, number // STEPS_PER_EPOCH
        if number % STEPS_PER_EPOCH == 0 and begin is not None:
            begin(slow)
        slow.look(make_batch(number))
        scales, joint, addition = reference(slow)
        joint = functional.cross_entropy(slow.joint, slow.label) + joint
        losses = {"joint": joint}
        if reference is not lfm:  # which trains the heads by the joint loss
            losses |= {m: functional.cross_entropy(slow.heads[m], slow.label) for m in NAMES}
        losses = {name: slow.weights.get(name, 1.0) * loss for name, loss in losses.items()}
        gradients: dict[Tensor, Tensor] = {}
        for name, loss in losses.items():
            parts = torch.autograd.grad(
                loss, list(model.parameters()), retain_graph=True, allow_unused=True
            )
            for (path, parameter), part in zip(model.named_parameters(), parts, strict=True):
                inside = path.startswith("encoders")
                if part is not None and (not inside or name in slow.objectives):
                    gradients[parameter] = gradients.get(parameter, 0) + part
        for m in NAMES:
            for parameter in model.encoders[m].parameters():
                extra = addition(m, parameter, gradients[parameter]) if addition else 0
                gradients[parameter] = scales.get(m, 1.0) * gradients[parameter] + extra
        with torch.no_grad():
            for parameter, gradient in gradients.items():
                momentum[parameter] = 0.9 * momentum.get(parameter, 0) + gradient
                parameter -= 0.1 * momentum[parameter]
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def others(values: dict[str, float], name: str) -> float:
    rest = [value for other, value in values.items() if other != name]
    return sum(rest) / len(rest)


def ogm(slow: Slow) -> Any:
    s = {m: float(slow.truth(slow.shares[m]).mean()) for m in NAMES}
    rho = {m: s[m] / others(s, m) for m in NAMES}
    return {m: 1 - math.tanh(0.8 * r) if r > 1 else 1.0 for m, r in rho.items()}, 0.0, None


def mlb(slow: Slow) -> Any:
    s = {m: float(slow.truth(slow.heads[m]).mean()) for m in NAMES}
    factors = {}
    for m in NAMES:
        r = others(s, m) / s[m]
        factors[m] = 1 + math.tanh(r - 1) * (1.5 if r > 1 else 1.0)
    return factors, 0.0, None


def agm(slow: Slow) -> Any:
    def value(subset: tuple[str, ...]) -> Tensor:
        parts = [slow.x[m] if m in subset else torch.zeros_like(slow.x[m]) for m in NAMES]
        return slow.model.joint(torch.cat(parts, 1)).detach() if subset else 0.0 * slow.joint

    losses = {}
    for m in NAMES:  # the mean over the six orders in which modalities come
        phi = 0
        for a in range(3):
            for b in range(3):
                if a == b:
                    continue
                order = [NAMES[a], NAMES[b], NAMES[3 - a - b]]
                before = tuple(order[: order.index(m)])
                phi = phi + (value((*before, m)) - value(before)) / 6
        losses[m] = float(functional.cross_entropy(phi.detach(), slow.label))
    history = slow.store.setdefault("history", [])
    history.append(losses)
    usual = {m: sum(past[m] for past in history) / len(history) for m in NAMES}
    tau = {m: math.exp(others(usual, m) - usual[m]) for m in NAMES}
    r = {m: math.exp(others(losses, m) - losses[m]) for m in NAMES}
    return {m: math.exp(min(1.5 * (tau[m] - r[m]), 10)) for m in NAMES}, 0.0, None


def begin_inforeg(slow: Slow) -> None:
    traces = slow.store.setdefault("traces", [])
    squares = slow.store.get("squares")
    if squares:
        traces.append({m: sum(values) / len(values) for m, values in squares.items()})
    slow.store["squares"] = {m: [0.0] * STEPS_PER_EPOCH for m in NAMES}
    slow.store["anchor"] = {p: p.detach().clone() for p in slow.model.parameters()}


def inforeg(slow: Slow) -> Any:
    s = {m: float(slow.truth(slow.shares[m]).log().mean()) for m in NAMES}
    traces = slow.store["traces"]
    pull = dict.fromkeys(NAMES, 0.0)
    for m in NAMES:
        gaps = [s[m] - s[j] for j in NAMES if s[j] < s[m]]
        gap = sum(gaps) / len(gaps) if gaps else 0.0
        if len(traces) >= 2 and gap > 0:
            latest, before = traces[-1][m], traces[-2][m]
            if (latest - before) / latest > 0.05:
                pull[m] = math.exp(0.95 * math.tanh(gap))
                slow.store["pulled"] = True

    def addition(m: str, parameter: Tensor, gradient: Tensor) -> Tensor:
        slow.store["squares"][m][slow.number % STEPS_PER_EPOCH] += float(gradient.square().sum())
        return pull[m] * (parameter.detach() - slow.store["anchor"][parameter])

    return {}, 0.0, addition


def begin_pmr(slow: Slow) -> None:
    fresh = {}
    batches = [make_batch(900 + number) for number in range(3)]
    label = torch.cat([batch["label"] for batch in batches])
    for m in NAMES:
        inputs = torch.cat([batch["inputs"][m] for batch in batches])
        features = slow.model.encoders[m](inputs).detach()
        fresh[m] = torch.stack([features[label == c].mean(0) for c in range(3)])
    old = slow.store.get("prototypes", fresh)
    slow.store["prototypes"] = {m: 0.2 * old[m] + 0.8 * fresh[m] for m in NAMES}


def pmr(slow: Slow) -> Any:
    log_q = {}
    for m in NAMES:
        prototypes = slow.store["prototypes"][m]
        distances = (slow.x[m][:, None] - prototypes).square().sum(2).sqrt()
        log_q[m] = (-distances).log_softmax(1)
    rows = torch.arange(len(slow.label))
    s = {m: float(log_q[m].detach()[rows, slow.label].exp().mean()) for m in NAMES}
    term = torch.zeros((), dtype=torch.float64)
    for m in NAMES:
        beta = min(max(max(s.values()) / s[m] - 1, 0), 1)
        gamma = min(max(s[m] / min(s.values()) - 1, 0), 1)
        term = term - 2.0 * beta * log_q[m][rows, slow.label].mean()
        if slow.epoch < 2:
            term = term - 0.5 * gamma * -(log_q[m].exp() * log_q[m]).sum(1).mean()
    return {}, term, None


def cosine(slow: Slow) -> Any:
    """The model's head is replaced: what it gives is compared with the equation."""
    logits = []
    for i in range(len(slow.label)):
        for c in range(3):
            z = torch.zeros((), dtype=torch.float64)
            for number, m in enumerate(NAMES):
                w = slow.model.joint.weight[c, 4 * number : 4 * number + 4]
                x = slow.x[m][i]
                z = z + 10 * (w @ x) / (w.square().sum() * x.square().sum()).sqrt()
            logits.append(z)
    slow.joint = torch.stack(logits).view(-1, 3)
    return {}, 0.0, None


def umt(slow: Slow) -> Any:
    """The teachers are those that the loop has made: models of one modality, never trained."""
    term = torch.zeros((), dtype=torch.float64)
    for m in NAMES:
        teacher = make_model((m,)).encoders[m]
        taught = teacher(make_batch(slow.number)["inputs"][m]).detach()
        for features, target in zip(slow.x[m], taught, strict=True):
            for one, other in zip(features, target, strict=True):
                term = term + 3.0 * (one - other) ** 2 / (4 * 8)
    return {}, term, None


def lfm(slow: Slow) -> Any:
    share = 0.2 + 0.5 * min(1, slow.epoch / 3)
    mean = (slow.heads["audio"] + slow.heads["visual"] + slow.heads["text"]) / 3
    p = {m: slow.heads[m].softmax(1) for m in NAMES}
    gaps = []
    for one, other in (("audio", "visual"), ("audio", "text"), ("visual", "text")):
        middle = (p[one] + p[other]) / 2
        for sample in range(8):
            halves = [p[one][sample], p[other][sample]]
            parts = [(q * (q / middle[sample]).log()).sum() for q in halves]
            gaps.append((parts[0] + parts[1]) / 2)
    slow.joint = mean  # its cross-entropy is added by the loop, with weight 1
    classified = functional.cross_entropy(mean, slow.label)
    return {}, (2 * share - 1) * classified + 2 * (1 - share) * sum(gaps) / len(gaps), None


def begin_relearning(slow: Slow) -> None:
    initial = slow.store.setdefault(
        "initial", {p: p.detach().clone() for p in slow.model.parameters()}
    )
    slow.epoch = slow.number // STEPS_PER_EPOCH
    if slow.epoch not in (1, 3):
        return
    for m in NAMES:
        purities = []
        for start in (900, 950):
            batches = [make_batch(start + number) for number in range(3)]
            x = slow.model.encoders[m](torch.cat([b["inputs"][m] for b in batches])).detach()
            x = (x - x.amin(0)) / (x.amax(0) - x.amin(0))
            clusters = kmeans(x, 3, torch.Generator().manual_seed(0)).tolist()
            label = torch.cat([b["label"] for b in batches]).tolist()
            right = 0
            for cluster in range(3):
                inside = [y for y, k in zip(label, clusters, strict=True) if k == cluster]
                right += max((inside.count(c) for c in range(3)), default=0)
            purities.append(right / len(label))
        a = math.tanh(3.0 * abs(purities[0] - purities[1]))
        slow.store["moved"] = max(slow.store.get("moved", 0), a)
        with torch.no_grad():
            for parameter in slow.model.encoders[m].parameters():
                parameter.copy_(a * initial[parameter] + (1 - a) * parameter)


def begin_blending(slow: Slow) -> None:
    if slow.number:
        return
    raw = {}
    for k in ("joint", *NAMES):
        trained = make_model(NAMES if k == "joint" else (k,))
        losses = {}
        for part, start in (("train", 900), ("held", 950)):
            for when, model in (("before", slow.model), ("after", trained)):
                found = []
                for number in range(3):
                    batch = make_batch(start + number)
                    inputs = batch["inputs"] if k == "joint" else {k: batch["inputs"][k]}
                    output = model(batch["inputs"]) if when == "before" else model(inputs)
                    z = output.logits[k] if when == "before" else output.joint
                    found.append(float(functional.cross_entropy(z.detach(), batch["label"])))
                losses[part, when] = sum(found) / 3
        g = max(losses["held", "before"] - losses["held", "after"], 0.0)
        gap = losses["held", "after"] - losses["train", "after"]
        o = gap - (losses["held", "before"] - losses["train", "before"])
        raw[k] = g / max(o * o, 1e-8)
    total = sum(raw.values())
    slow.store["weights"] = {k: w / total if total else 0.25 for k, w in raw.items()}


def blending(slow: Slow) -> Any:
    slow.weights = slow.store["weights"]
    return {}, 0.0, None


def nothing(slow: Slow) -> Any:
    return {}, 0.0, None


CASES: dict[str, tuple[mp.Method, Reference, Callable[[Slow], None] | None, tuple[str, ...]]] = {
    "ogm-ge": (balancing.OGMGE(alpha=0.8, noise=False), ogm, None, ("joint",)),
    "mlb": (balancing.MLB(alpha=1.0, beta=2.5), mlb, None, ("joint", *NAMES)),
    "agm": (balancing.AGM(alpha=1.5), agm, None, ("joint",)),
    "inforeg": (balancing.InfoReg(), inforeg, begin_inforeg, ("joint",)),
    "pmr": (
        balancing.PMR(alpha=2.0, mu=0.5, entropy_epochs=2), pmr, begin_pmr, ("joint",)
    ),
    "mmcosine": (balancing.MMCosine(), cosine, None, ("joint",)),
    "umt": (balancing.UMT(strength=3.0), umt, None, ("joint",)),
    "lfm": (balancing.LFM(first=0.2, last=0.7, epochs=3), lfm, None, ("joint",)),
    "relearning": (
        balancing.Relearning(epochs=(1, 3)), nothing, begin_relearning, ("joint",)
    ),
    "g-blending": (balancing.GBlending(), blending, begin_blending, ("joint", *NAMES)),
    "dgl": (balancing.DGL(), nothing, None, NAMES),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_twenty_steps_are_those_of_the_equations(case: Any) -> None:
    method, reference, begin, objectives = case
    work = Loop(method)
    slow = Slow(make_model(), objectives)
    method.adapt(slow.model)
    slow.model.load_state_dict(work.initial)
    slow.model.double()
    work.train(20)
    expected = train(slow, reference, begin, 20)
    torch.testing.assert_close(work.weights(), expected, rtol=1e-9, atol=1e-10)
    if reference is inforeg:
        assert slow.store["pulled"]
    if begin is begin_blending:
        assert max(slow.weights.values()) > 0.5 > min(slow.weights.values())
    if begin is begin_relearning:
        assert slow.store["moved"] > 0.05
    plain = Loop(balancing.Joint() if objectives == ("joint",) else balancing.Uniform())
    plain.train(20)
    if len(plain.weights()) == len(expected):
        assert (plain.weights() - expected).abs().max() > 1e-3  # the method did something


JOINT = [
    balancing.OGMGE(alpha=0.0, noise=False),
    balancing.AGM(alpha=0.0),
    balancing.OPM(q=0.0),
    balancing.ModalityDropout(rate=0.0),
    balancing.InfoReg(threshold=1.0),
    balancing.PMR(alpha=0.0, mu=0.0),
    balancing.UMT(strength=0.0),
    balancing.Relearning(strength=0.0),
]


@pytest.mark.parametrize("method", JOINT, ids=repr)
def test_is_joint_in_the_limit(method: mp.Method) -> None:
    work, plain = Loop(method), Loop(balancing.Joint())
    work.train(12)
    plain.train(12)
    torch.testing.assert_close(work.weights(), plain.weights(), rtol=1e-12, atol=1e-13)


@dataclass(frozen=True)
class Nothing(mp.LossWeighting):
    """Overrides nothing."""


@pytest.mark.parametrize("method", [balancing.MLB(alpha=0.0), Nothing()], ids=repr)
def test_is_uniform_in_the_limit(method: mp.Method) -> None:
    work, plain = Loop(method), Loop(balancing.Uniform())
    work.train(12)
    plain.train(12)
    torch.testing.assert_close(work.weights(), plain.weights(), rtol=1e-12, atol=1e-13)


def test_alternating_steps_are_those_of_the_equations() -> None:
    """One modality after the other, a head that all share, and a projection of its gradient."""
    method = balancing.MLA(alpha=0.5)
    work, model = Loop(method), make_model()
    work.train(20)
    weight, bias = model.unimodal["audio"].weight, model.unimodal["audio"].bias
    p, momentum = torch.eye(4).double(), {}
    for number in range(20):
        batch = make_batch(number)
        for m in NAMES:
            x = model.encoders[m](batch["inputs"][m])
            loss = functional.cross_entropy(x @ weight.T + bias, batch["label"])
            learned = [*model.encoders[m].parameters(), weight, bias]
            gradients = dict(zip(learned, torch.autograd.grad(loss, learned), strict=True))
            gradients[weight] = gradients[weight] @ p
            h = x.detach().mean(0)
            q = p @ h / (0.5 + h @ p @ h)
            p = p - q[:, None] * (h @ p)[None]
            with torch.no_grad():
                for parameter, gradient in gradients.items():
                    momentum[parameter] = 0.9 * momentum.get(parameter, 0) + gradient
                    parameter -= 0.1 * momentum[parameter]
    assert (p - torch.eye(4)).abs().max() > 0.1
    torch.testing.assert_close(work.balancer.memory.p, p, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(work.model.unimodal["text"].weight, weight, rtol=1e-9, atol=1e-10)
    for name, parameter in model.encoders.named_parameters():
        got = work.model.encoders.get_parameter(name)
        torch.testing.assert_close(got, parameter, rtol=1e-9, atol=1e-10)
