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
from mmpareto.balancing._mmcosine import CosineHead
from mmpareto.balancing._moment import generator
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


def drop(slow: Slow, rates: dict[str, float]) -> None:
    """Features are dropped sample by sample, by the numbers that the method draws."""
    drawn = torch.rand(8, 3, generator=generator(torch.device("cpu"), 0, slow.number, 0))
    left = []
    for i in range(8):
        kept = [float(drawn[i, k]) >= rates[m] for k, m in enumerate(NAMES)]
        if not any(kept):
            kept = [True] * 3
        slow.store["dropped"] = slow.store.get("dropped", 0) + kept.count(False)
        scale = 1 / (1 - sum(rates.values()) / 3)
        parts = [slow.x[m][i] * scale * keep for m, keep in zip(NAMES, kept, strict=True)]
        left.append(slow.model.joint(torch.cat(parts)))
    slow.joint = torch.stack(left)


def dropout(slow: Slow) -> Any:
    drop(slow, dict.fromkeys(NAMES, 0.4))
    return {}, 0.0, None


def opm(slow: Slow) -> Any:
    s = {m: float(slow.truth(slow.shares[m]).mean()) for m in NAMES}
    rho = {m: s[m] / others(s, m) for m in NAMES}
    drop(slow, slow.store.get("rates", dict.fromkeys(NAMES, 0.0)))
    slow.store["rates"] = {
        m: 0.5 * (1 + 0.5 * math.tanh(r - 1)) if r > 1 else 0.0 for m, r in rho.items()
    }
    return {}, 0.0, None


def cggm(slow: Slow) -> Any:
    accuracy = {}
    for m in NAMES:
        right = 0
        for row, label in zip(slow.heads[m].tolist(), slow.label.tolist(), strict=True):
            right += row.index(max(row)) == label
        accuracy[m] = right / 8
    before = slow.store.get("accuracy", accuracy)
    slow.store["accuracy"] = accuracy
    gains = {m: max(accuracy[m] - before[m], 0.0) for m in NAMES}
    total = sum(gains.values())
    return {m: 1.4 * ((total - gains[m]) / total if total else 2 / 3) for m in NAMES}, 0.0, None


def gradnorm(slow: Slow) -> Any:
    weights = slow.store.setdefault("weights", {m: [1.0, 1.0] for m in NAMES})
    first = slow.store.setdefault("first", {})
    slow.weights = {m: weights[m][1] / weights[m][0] for m in NAMES}
    scales = {m: weights[m][0] for m in NAMES}
    for m in NAMES:
        lengths, losses = [], []
        for logits in (slow.joint, slow.heads[m]):
            squares = []
            for i in range(8):
                loss = functional.cross_entropy(logits[i], slow.label[i])
                (gradient,) = torch.autograd.grad(loss, slow.x[m], retain_graph=True)
                squares.append(float(gradient[i].square().sum()))
            lengths.append(math.sqrt(sum(squares) / 8))
            losses.append(float(functional.cross_entropy(logits.detach(), slow.label)))
        start = first.setdefault(m, losses)
        ratios = [loss / begun for loss, begun in zip(losses, start, strict=True)]
        pulls = [weight * length for weight, length in zip(weights[m], lengths, strict=True)]
        moved = []
        for i in range(2):
            target = sum(pulls) / 2 * (ratios[i] / (sum(ratios) / 2)) ** 1.5
            sign = (pulls[i] > target) - (pulls[i] < target)
            moved.append(weights[m][i] - 0.1 * lengths[i] / (sum(lengths) / 2) * sign)
        weights[m] = [2 * weight / sum(moved) for weight in moved]
    return scales, 0.0, None


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
    "modality-dropout": (balancing.ModalityDropout(rate=0.4), dropout, None, ("joint",)),
    "opm": (balancing.OPM(), opm, None, ("joint",)),
    "cggm": (balancing.CGGM(rho=1.4), cggm, None, ("joint",)),
    "gradnorm": (
        balancing.GradNorm(alpha=1.5, rate=0.1), gradnorm, None, ("joint", *NAMES)
    ),
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


UNIFORM = [balancing.MLB(alpha=0.0), balancing.GradNorm(rate=0.0), Nothing()]


@pytest.mark.parametrize("method", UNIFORM, ids=repr)
def test_is_uniform_in_the_limit(method: mp.Method) -> None:
    work, plain = Loop(method), Loop(balancing.Uniform())
    work.train(12)
    plain.train(12)
    torch.testing.assert_close(work.weights(), plain.weights(), rtol=1e-12, atol=1e-13)


@dataclass(frozen=True)
class Steady(balancing.CGGM):
    """Whose modalities are never right."""

    def evidence(self, view: Any, memory: Any) -> Any:
        return {m: torch.zeros(len(view.label)).double() for m in view.features}


@dataclass(frozen=True)
class Unprojected(balancing.MLA):
    """Whose shared head takes its gradient as it is."""

    def additions(self, moment: Any, memory: Any) -> Any:
        return {}


@dataclass(frozen=True)
class OfMeanLogits(mp.LossWeighting):
    """Twice the loss of the heads' mean logits."""

    def objectives(self, view: Any, evidence: Any, memory: Any) -> Any:
        mean = torch.stack([view.logits[m] for m in NAMES]).mean(0)
        return {"joint": 2 * view.joint_loss(mean)}


@dataclass(frozen=True)
class Alike(balancing.GBlending):
    """Whose heads all learn and overfit alike."""

    def raw_weight(self, before: Tensor, after: Tensor) -> Tensor:
        return torch.ones((), dtype=torch.float64)


@dataclass(frozen=True)
class AQuarter(mp.LossWeighting):
    """A quarter of every loss."""

    def objectives(self, view: Any, evidence: Any, memory: Any) -> Any:
        return {name: loss / 4 for name, loss in view.losses.items()}


LIMITS = {
    "cggm": (Steady(rho=1.5), balancing.Joint()),
    "mla": (balancing.MLA(alpha=1e14), Unprojected()),
    "lfm": (balancing.LFM(first=1.0, last=1.0), OfMeanLogits()),
    "g-blending": (Alike(), AQuarter()),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_is_a_plainer_training_in_the_limit(case: tuple[mp.Method, mp.Method]) -> None:
    limit, plain = map(Loop, case)
    limit.train(12)
    plain.train(12)
    torch.testing.assert_close(limit.weights(), plain.weights(), rtol=1e-11, atol=1e-12)


@dataclass(frozen=True)
class OwnLosses(mp.LossWeighting):
    """Without a joint loss."""

    def objectives(self, view: Any, evidence: Any, memory: Any) -> Any:
        return {m: view.losses[m] for m in view.features}


def test_detached_encoders_are_those_of_models_without_a_joint_loss() -> None:
    detached, apart = Loop(balancing.DGL()), Loop(OwnLosses())
    detached.train(12)
    apart.train(12)
    for name, parameter in apart.model.encoders.named_parameters():
        got = detached.model.encoders.get_parameter(name)
        torch.testing.assert_close(got, parameter, rtol=1e-12, atol=1e-13)


def test_a_head_of_cosines_is_linear_for_directions() -> None:
    head = CosineHead({"audio": 2, "visual": 2}, 3, 1.0).double()
    parts = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    head.weight.data.copy_(functional.normalize(parts, dim=2).flatten(1))
    features = functional.normalize(parts[:2] + 1, dim=2).flatten(1)
    torch.testing.assert_close(head(features), features @ head.weight.T)


def test_stages_are_those_of_the_equations() -> None:
    """Alone, together, alone, together: each with an optimizer that remembers nothing."""
    work, model = Loop(balancing.ReconBoost(strength=3.0, alone=1, together=1)), make_model()
    work.train(4 * STEPS_PER_EPOCH)
    for number in range(4 * STEPS_PER_EPOCH):
        if number % STEPS_PER_EPOCH == 0:
            momentum: dict[Tensor, Tensor] = {}
        batch, epoch = make_batch(number), number // STEPS_PER_EPOCH
        z = {m: model.unimodal[m](model.encoders[m](batch["inputs"][m])) for m in NAMES}
        if epoch % 2:
            learners = list(NAMES)
            loss = functional.cross_entropy(z["audio"] + z["visual"] + z["text"], batch["label"])
        else:
            learners = [NAMES[epoch // 2]]
            loss = torch.zeros((), dtype=torch.float64)
            for i, label in enumerate(batch["label"].tolist()):
                rest = sum(z[m][i].detach() for m in NAMES if m not in learners)
                soft = 3.0 - rest.softmax(0)[label]
                loss = loss - soft * z[learners[0]][i].log_softmax(0)[label] / (3 * 8)
        for m in learners:
            learned = [*model.encoders[m].parameters(), *model.unimodal[m].parameters()]
            parts = torch.autograd.grad(loss, learned, retain_graph=True)
            for parameter, gradient in zip(learned, parts, strict=True):
                momentum[parameter] = 0.9 * momentum.get(parameter, 0) + gradient
        with torch.no_grad():
            for parameter, velocity in momentum.items():
                parameter -= 0.1 * velocity
    expected = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    torch.testing.assert_close(work.weights(), expected, rtol=1e-9, atol=1e-10)


def test_the_first_stage_is_a_training_of_one_modality_beside_equal_odds() -> None:
    """Others that say nothing leave cross-entropy, and the other encoders stay where they are."""
    method = balancing.ReconBoost(alone=4, together=0)
    work, model = Loop(method), make_model(("audio",))
    for m in ("visual", "text"):
        for parameter in work.model.unimodal[m].parameters():
            parameter.data.zero_()
    model.encoders["audio"].load_state_dict(work.model.encoders["audio"].state_dict())
    model.unimodal["audio"].load_state_dict(work.model.unimodal["audio"].state_dict())
    start = work.model.encoders["text"][0].weight.clone()
    work.train(8)
    assert torch.equal(work.model.encoders["text"][0].weight, start)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for number in range(8):
        batch = make_batch(number)
        logits = model.unimodal["audio"](model.encoders["audio"](batch["inputs"]["audio"]))
        optimizer.zero_grad()
        loss = functional.cross_entropy(logits, batch["label"])
        ((5.0 - 1 / 3) / 3 * loss).backward()
        optimizer.step()
    for name, parameter in model.encoders.named_parameters():
        got = work.model.encoders.get_parameter(name)
        torch.testing.assert_close(got, parameter, rtol=1e-11, atol=1e-12)


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
