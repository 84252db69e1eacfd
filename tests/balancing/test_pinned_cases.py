"""Each method's equation at a case computed by hand, and where public re-implementations differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import mmpareto as mp
from balancing.at_work import Loop, make_batch, make_model
from mmpareto import balancing
from mmpareto.balancing import Balancer, Evidence, Moment, View
from mmpareto.balancing._dropping import mean_rate
from mmpareto.balancing._kmeans import purity
from mmpareto.balancing._mmcosine import CosineHead
from mmpareto.balancing._shares import certainty_weights, shapley
from mmpareto.specs import Classes

TRUE = torch.tensor(True)
LABEL = torch.tensor([0, 1])
AUDIO, VISUAL = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.0], [0.0, 0.2]])


def evidence(**means: float) -> Evidence:
    return Evidence({name: torch.tensor(value).double() for name, value in means.items()}, TRUE)


def values(factors: Mapping[str, Tensor]) -> list[float]:
    return [float(factor) for factor in factors.values()]


def near(expected: list[float]) -> object:
    return pytest.approx(expected, abs=6e-8)


def total(features: Mapping[str, Tensor]) -> Tensor:
    return sum(features.values(), torch.zeros(1, 2).double())


def view() -> View:
    """The features are each modality's logits, the fusion is their sum."""
    features = {"audio": AUDIO.double(), "visual": VISUAL.double()}
    return View(LABEL, features, total)


def test_ogm_ge() -> None:
    scores = view().confidences(view().slices)
    sums = [float(score.sum()) for score in scores.values()]
    assert sums == near([1.6118557, 1.1722933])
    means = Evidence({name: score.mean() for name, score in scores.items()}, TRUE)
    assert float(means.ratio("audio")) == pytest.approx(1.3749593, abs=6e-8)
    assert values(balancing.OGMGE(alpha=0.3).factors(means)) == near([0.6094170, 1.0])


def ear_moment(gradient: Tensor) -> tuple[nn.Parameter, Moment]:
    ear, eye = nn.Parameter(torch.zeros_like(gradient)), nn.Parameter(torch.zeros(1))
    encoders = mp.Partition(audio=[ear], visual=[eye])
    scores = evidence(audio=0.8, visual=0.4)
    return ear, Moment({ear: gradient}, encoders, scores, seed=3, step=5)


def test_the_noise_is_as_wide_as_the_gradient_before_it_is_scaled() -> None:
    """One re-implementation measures it after scaling, which narrows it by k."""
    ear, moment = ear_moment(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert float(moment.gradients[ear].std()) == pytest.approx(2.1602469, abs=1e-6)
    wide = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    ear, moment = ear_moment(wide)
    noise = balancing.OGMGE().additions(moment, nn.Module())[ear]
    assert float(noise.std()) == pytest.approx(float(wide.std()), rel=0.01)
    assert float(torch.corrcoef(torch.stack([noise, wide]))[0, 1]) == pytest.approx(0, abs=0.02)
    again = balancing.OGMGE().additions(moment, nn.Module())[ear]
    assert torch.equal(noise, again)
    later = balancing.OGMGE().additions(replace(moment, step=6), nn.Module())[ear]
    assert not torch.equal(noise, later)


def test_the_release_of_ogm_ge_touches_convolutions_alone() -> None:
    method = balancing.OGMGE(tensors="convolutions", noise=False)
    ear, moment = ear_moment(torch.ones(2, 2))
    assert method.scales(moment.evidence, nn.Module()) == {}
    assert method.additions(moment, nn.Module()) == {}
    ear, moment = ear_moment(torch.ones(2, 1, 2, 2))
    k = balancing.OGMGE().factors(moment.evidence)["audio"]
    torch.testing.assert_close(
        method.additions(moment, nn.Module())[ear], (k.float() - 1) * torch.ones(2, 1, 2, 2)
    )


def test_agm_and_the_reversed_sign() -> None:
    method = balancing.AGM(alpha=1.0)
    current, usual = torch.tensor([0.5, 1.0]).double(), torch.tensor([0.6, 0.9]).double()
    kappa = method.kappa(current, usual).tolist()
    assert kappa == near([0.7416614, 1.1437217])
    assert kappa[0] < 1 < kappa[1]  # who leads more than usual is slowed; reversed in a toolkit


def test_shapley_values_add_up_to_the_joint_logits() -> None:
    table = {"av": [3.0, 1.0], "a": [2.0, 0.0], "v": [0.5, 0.5]}
    phi = shapley(
        {"a": torch.zeros(1), "v": torch.zeros(1)}, lambda some: torch.tensor(table["".join(some)])
    )
    assert [part.tolist() for part in phi.values()] == [[2.25, 0.25], [0.75, 0.75]]
    work = Loop(balancing.AGM())
    seen = work.view(make_batch(0))
    parts = shapley(seen.features, seen.fuse)
    torch.testing.assert_close(sum(parts.values()), seen.logits["joint"])


def test_slices_are_those_of_the_weights() -> None:
    work = Loop(balancing.Uniform())
    seen = work.view(make_batch(0))
    for number, (modality, share) in enumerate(seen.slices.items()):
        weight = work.model.joint.weight[:, 4 * number : 4 * number + 4]
        expected = seen.features[modality] @ weight.T + work.model.joint.bias / 3
        torch.testing.assert_close(share, expected.detach())
    torch.testing.assert_close(sum(seen.slices.values()), seen.logits["joint"].detach())


def test_mlb() -> None:
    factors = balancing.MLB(alpha=1.0, beta=2.0).scales(
        evidence(audio=0.8, visual=0.5), nn.Module()
    )
    assert values(factors) == near([0.6416426, 1.5370496])


def test_opm_and_the_alias_that_drops_both() -> None:
    rates = balancing.OPM().probabilities(evidence(audio=1.3749593, visual=1.0))
    assert rates.tolist() == near([0.5895805, 0.0])
    features = {"audio": torch.zeros(2, 7), "visual": torch.zeros(2, 7)}
    kept = 1 / (1 - mean_rate(features, ["audio", "visual"], rates))
    assert float(kept) == pytest.approx(1.4180178, abs=1e-7)
    # A toolkit divides the scores in place, so that the second ratio is 20 / (40 / 20).
    both = balancing.OPM().probabilities(evidence(audio=40.0, visual=20.0))
    assert both[0] > 0
    assert both[1] == 0


def test_a_sample_that_would_lose_all_its_modalities_keeps_them() -> None:
    method = balancing.ModalityDropout(rate=0.9)
    work = Loop(method)
    whole = work.view(make_batch(0))
    rates = torch.full((3,), 0.9)
    read = []

    def fuse(features: Mapping[str, Tensor]) -> Tensor:
        read.append(torch.stack([feature.any(1) for feature in features.values()], 1))
        return whole.fuse(features)

    drawn = torch.zeros(8, 3)
    drawn[0] = torch.tensor([0.95, 0.1, 0.99])
    seen = replace(whole, fuse=fuse, uniform=lambda count: drawn)
    balancing._dropping.joint_loss_dropping(seen, list(seen.features), rates)
    assert read[0][0].tolist() == [True, False, True]
    assert read[0][1:].all()


def test_dropping_follows_the_rates_and_rescales_all_modalities() -> None:
    ears = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("audio", "visual")})
    read = []

    def fuse(features: Mapping[str, Tensor]) -> Tensor:
        if len(features) == 2:
            read.append({name: feature.mean() for name, feature in features.items()})
        return total(features)

    balancer = Balancer(balancing.OPM(q=0.4, strength=0.0, current=True), ears)
    ones = torch.ones(4000, 2).double()
    label = torch.zeros(4000, dtype=torch.int64)
    features = {"audio": ones + torch.tensor([1.0, 0.0]), "visual": ones}  # audio is right
    balancer.observe(View(label, features, fuse, losses={"joint": torch.zeros(())}))
    assert float(read[-1]["audio"]) == pytest.approx(1.5 * 0.6 / (1 - 0.2), rel=0.03)
    assert float(read[-1]["visual"]) == pytest.approx(1 / (1 - 0.2))


def test_inforeg() -> None:
    gap = torch.tensor(0.3).double()
    assert float(balancing.InfoReg(beta=0.95).strength(gap)) == pytest.approx(1.3188326, abs=1e-7)
    release = balancing.InfoReg(beta=0.95, form="release")
    assert float(release.strength(gap)) == pytest.approx(1.2712737, abs=1e-7)
    assert float(balancing.InfoReg().strength(gap)) * 0.1 == pytest.approx(0.1318833, abs=1e-7)


def test_the_lead_is_over_the_weaker_ones_and_larger_is_stronger() -> None:
    """The paper's equation 8 has the sign of the score reversed."""
    scores = evidence(audio=-0.5, visual=-1.5, text=-0.7)
    assert values({m: scores.lead(m) for m in scores}) == near([0.6, 0.0, 0.8])


@pytest.mark.parametrize(("form", "expected"), [("paper", 0.1121413), ("release", 0.5130153)])
def test_pmr_has_its_entropy(form: str, expected: float) -> None:
    """The release has no entropy term, and coefficients of 0 or 1."""
    ears = {"audio": nn.Linear(1, 1).double(), "visual": nn.Linear(1, 1).double()}
    setup = balancing.Setup(mp.Partition(**ears), Classes(("a", "b")), {"audio": 1, "visual": 1})
    balancer = Balancer(balancing.PMR(form=form), setup.encoders, setup=setup)
    for modality in ears:
        balancer.memory.of(modality).copy_(torch.tensor([[0.0], [2.0]]))
    features = {"audio": torch.tensor([[0.5]]).double(), "visual": torch.tensor([[0.8]]).double()}
    seen = View(torch.tensor([0]), features, total, losses={"joint": torch.zeros(()).double()})
    scores = balancer.method.evidence(seen, balancer.memory)
    assert [float(score) for score in scores.values()] == near([0.7310586, 0.5986877])
    assert float(balancer.observe(seen)["joint"]) == pytest.approx(expected, abs=6e-8)


def test_mmcosine() -> None:
    head = CosineHead({"audio": 2, "visual": 2}, 2, 10.0)
    weight = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, -1.0]])
    head.weight.data.copy_(weight)
    logits = head.double()(torch.tensor([[3.0, 4.0, 1.0, 1.0]]).double())
    assert logits[0].tolist() == near([13.0710678, 0.9289322])
    alone = head(torch.tensor([[3.0, 4.0, 0.0, 0.0]]).double())
    assert alone[0].tolist() == near([6.0, 8.0])  # a missing modality adds nothing


def test_mmcosine_needs_a_linear_head_on_concatenated_features() -> None:
    with pytest.raises(mp.MMParetoError, match="one linear joint head"):
        balancing.MMCosine().adapt(nn.Linear(2, 2))


def test_means_count_the_samples_that_have_a_modality() -> None:
    """And with a modality that nobody has, nobody is scaled."""
    work = Loop(balancing.OGMGE(noise=False), make_model(("audio", "visual")))
    batch = make_batch(0)
    batch["rows"] = {"audio": torch.tensor([1, 4])}
    seen = work.view(batch)
    shown = work.balancer._take(seen)
    expected = seen.confidences(seen.slices)
    assert expected["audio"].shape == (2,)
    torch.testing.assert_close(shown["audio"], expected["audio"].mean())
    work.balancer.count()
    del batch["inputs"]["audio"], batch["rows"]["audio"]
    work.backward(batch)
    plain = work.view(batch).losses["joint"]
    for parameter in work.model.encoders["visual"].parameters():
        (gradient,) = torch.autograd.grad(plain, parameter, retain_graph=True)
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_method_for_two_is_refused_with_three() -> None:
    class Two(mp.LossWeighting):
        name = "two"
        facts = replace(balancing.DGL.facts, modalities="two")

    with pytest.raises(mp.MMParetoError, match="3 modalities"):
        Loop(Two())


def test_cross_entropy_of_each_sample_has_the_loss_as_its_mean() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    label = torch.tensor([0, 1, 2, 0, 1])
    losses = Classes(("a", "b")).losses(logits, label)
    torch.testing.assert_close(losses.mean(), functional.cross_entropy(logits, label))


@pytest.mark.parametrize(("divergence", "expected"), [("js", 0.0506718), ("release", 0.0533002)])
def test_lfm_and_the_reversed_arguments(divergence: str, expected: float) -> None:
    p, q = torch.tensor([[0.8, 0.2]]).double().log(), torch.tensor([[0.5, 0.5]]).double().log()
    gap = balancing.LFM(divergence=divergence).gap(p, q)
    assert gap.tolist() == near([expected])
    release = balancing.LFM(first=0.2046237, last=0.5391552)
    assert release.share(0) == 0.2046237
    assert release.share(100) == pytest.approx(0.5391552)


def test_lfm_takes_the_mean_of_what_a_sample_has() -> None:
    one, other = torch.tensor([[1.0, 3.0], [2.0, 2.0]]), torch.tensor([[3.0, 5.0], [torch.nan] * 2])
    joint = balancing.LFM().combine(one, {"audio": one, "visual": other})
    assert joint.tolist() == [[2.0, 4.0], [2.0, 2.0]]


def test_umt() -> None:
    distance = balancing.UMT(strength=10.0).distance(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    assert float(distance) == 25.0


def test_relearning() -> None:
    assert purity(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), 2) == 0.75
    share = balancing.Relearning().way_back(0.95, 0.75)
    assert share == pytest.approx(0.5370496, abs=6e-8)
    assert float(torch.tensor(2.0).double().lerp(torch.tensor(1.0).double(), share)) == (
        pytest.approx(1.4629504, abs=6e-8)
    )


def test_g_blending() -> None:
    cases = {
        "joint": (1.5, 0.5, 1.6, 1.0), "audio": (1.5, 1.0, 1.6, 1.2), "visual": (1.5, 0.4, 1.6, 1.3)
    }  # fmt: skip
    raw = []
    for train_before, train_after, held_before, held_after in cases.values():
        before, after = (
            torch.tensor([train_before, held_before]),
            torch.tensor([train_after, held_after]),
        )
        raw.append(balancing.GBlending().raw_weight(before.double(), after.double()))
    assert [float(weight) for weight in raw] == pytest.approx([3.75, 40.0, 0.46875], rel=2e-6)
    weights = torch.stack(raw) / sum(raw)
    assert weights.tolist() == pytest.approx([0.0848057, 0.9045936, 0.0106007], abs=6e-8)
    worse = torch.tensor([2.0, 2.0])  # a toolkit takes the absolute value
    assert balancing.GBlending().raw_weight(torch.tensor([1.5, 1.6]), worse) == 0


def test_mla_projects_and_its_matrix_stays_between_0_and_1() -> None:
    """In the release the denominator is a matrix, which gives a negative eigenvalue."""
    p = balancing.MLA(alpha=0.1).projected(torch.eye(2).double(), torch.ones(2).double())
    assert p[0].tolist() == near([0.5238095, -0.4761905])
    assert torch.linalg.eigvalsh(p).min() > 0
    assert float(torch.ones(2).double() @ p @ torch.ones(2).double()) < 0.1


def test_mla_weighs_each_sample_by_how_certain_its_modalities_are() -> None:
    """The release takes the softmax over the batch, and one weight for all samples."""
    audio, visual = torch.tensor([[0.9, 0.1]] * 2).double(), torch.tensor([[0.6, 0.4]]).double()
    visual = torch.cat([visual, torch.full((1, 2), torch.nan).double()])
    weights = certainty_weights(torch.stack([audio.log(), visual.log()]))
    assert weights[:, 0].tolist() == near([0.5861152, 0.4138848])
    assert weights[:, 1].tolist() == [1.0, 0.0]
    joint = balancing.MLA().combine(audio, {"audio": audio.log(), "visual": visual.log()})
    torch.testing.assert_close(joint[1], audio[1].log())


def test_mla_needs_features_of_one_width() -> None:
    heads = nn.ModuleDict({"audio": nn.Linear(3, 2), "visual": nn.Linear(4, 2)})
    with pytest.raises(mp.MMParetoError, match="equal widths"):
        balancing.MLA().adapt(nn.ModuleDict({"unimodal": heads}))


def test_cggm_slows_who_gains_and_stays_bounded() -> None:
    """The release divides by the sum of all gains, which may be 0 or negative."""
    method = balancing.CGGM(rho=1.3)
    assert method.factors(torch.tensor([0.02, 0.08]).double()).tolist() == near([1.04, 0.26])
    assert method.factors(torch.tensor([-0.1, 0.1]).double()).tolist() == near([1.3, 0.0])
    assert method.factors(torch.tensor([-0.1, 0.0]).double()).tolist() == near([0.65, 0.65])
    assert method.factors(torch.tensor([0.1]).double()).tolist() == [1.0]


def test_gradnorm() -> None:
    lengths, ratios = torch.tensor([1.0, 2.0]).double().sqrt(), torch.tensor([0.5, 1.0]).double()
    method = balancing.GradNorm(alpha=1.5)
    assert method.targets(lengths, ratios).tolist() == near([0.6570657, 1.8584625])
    equal = balancing.GradNorm(alpha=0.0).targets(lengths, ratios)
    assert equal.tolist() == near([1.2071068, 1.2071068])


def test_gradnorm_weights_do_not_depend_on_the_scale_of_the_gradients() -> None:
    left, right = Loop(balancing.GradNorm()), Loop(balancing.GradNorm())
    means = {m: torch.tensor([1.0, 2.0, 3.0, 4.0]).double() for m in left.partition}
    large = {m: torch.tensor([1.0, 2.0, 3e8, 4e8]).double() for m in left.partition}
    for work, shown in ((left, means), (right, large)):
        work.method.scales(Evidence(shown, TRUE), work.balancer.memory)
    weights = left.balancer.memory.weights
    torch.testing.assert_close(weights, right.balancer.memory.weights)
    assert (weights[:, 0] > 1).all()
    torch.testing.assert_close(weights.sum(1), torch.full((3,), 2.0).double())


def test_reconboost() -> None:
    first, others = torch.tensor([[1.0, 0.0]]).double(), torch.zeros(1, 2).double()
    loss = balancing.ReconBoost().alone_loss(first, others, torch.tensor([0]))
    assert float(loss) == pytest.approx(0.7048388, abs=6e-8)
    method = balancing.ReconBoost(alone=2, together=1)
    stages = [method.stage(epoch) for epoch in range(7)]
    pair = [(0, True), (0, True), (0, False), (1, True), (1, True), (1, False)]
    assert stages == [*pair, (2, True)]
