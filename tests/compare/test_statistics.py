from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from compare.synthetic import results as synthetic_results
from mmpareto import MMParetoError
from mmpareto.compare._results import Result, values
from mmpareto.compare._statistics import (
    Difference,
    half_width,
    paired_difference,
    seeds_to_resolve,
    spread,
)
from mmpareto.compare._summary import attribution, table_rows
from mmpareto.compare._wording import attribution_sentences, headline, verdict


def by_seed(sample) -> dict[int, float]:
    return dict(enumerate(map(float, sample)))


def accuracies(**samples) -> list[Result]:
    return [
        Result("cg-digits", name.replace("_", "-"), seed, "test", "joint_accuracy", value)
        for name, sample in samples.items()
        for seed, value in by_seed(sample).items()
    ]


def test_spread_by_hand():
    of = spread([1.0, 2.0, 6.0])
    assert (of.mean, of.count) == (3.0, 3)
    assert of.sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2), rel=1e-15)


def test_spread_of_few():
    one, none = spread([0.5]), spread([])
    assert (one.mean, one.count) == (0.5, 1)
    assert math.isnan(one.sd)
    assert math.isnan(none.mean)
    assert none.count == 0


def test_difference_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, error 1/sqrt(3); t quantile of 2 degrees at 97.5% is
    # 4.30265.
    found = paired_difference(by_seed([2, 4, 6]), by_seed([1, 2, 3]))
    half = 4.302652729749464 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), rel=1e-12)
    assert found.seeds == (0, 1, 2)
    assert not found.resolved  # 2 - 2.48 < 0


@pytest.mark.parametrize("comparisons", [1, 3, 5])
@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_difference_equals_scipys_paired_t_test(count, comparisons):
    rng = np.random.default_rng([count, comparisons])
    first, second = 0.7 + 0.02 * rng.standard_normal((2, count))
    found = paired_difference(by_seed(first), by_seed(second), comparisons)
    expected = scipy.stats.ttest_rel(first, second)
    low, high = expected.confidence_interval(1 - 0.05 / comparisons)
    assert found.mean == pytest.approx((first - second).mean(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.p_value == pytest.approx(min(1, comparisons * expected.pvalue), rel=1e-9)


def test_resolved_means_that_the_interval_excludes_zero_and_that_p_is_below_5_percent():
    rng = np.random.default_rng(0)
    resolved = 0
    for shift in np.linspace(-0.08, 0.08, 101):
        first, second = 0.7 + 0.02 * rng.standard_normal((2, 5))
        found = paired_difference(by_seed(first + shift), by_seed(second), 5)
        assert found.resolved == (not found.low <= 0 <= found.high) == (found.p_value < 0.05)
        resolved += found.resolved
    assert 20 < resolved < 80  # both kinds occurred


def test_exchanging_the_two_changes_the_sign_alone():
    first, second = by_seed([0.7, 0.8, 0.75]), by_seed([0.6, 0.65, 0.66])
    there, back = paired_difference(first, second, 2), paired_difference(second, first, 2)
    assert (there.mean, there.low, there.high) == (-back.mean, -back.high, -back.low)
    assert there.p_value == back.p_value


def test_only_common_seeds_are_paired():
    first, second = {3: 0.9, 0: 0.5, 1: 0.7, 7: 0.1}, {1: 0.6, 0: 0.5, 3: 0.7, 5: 0.0}
    found = paired_difference(first, second)
    assert found.seeds == (0, 1, 3)
    assert found == paired_difference({0: 0.5, 1: 0.7, 3: 0.9}, {0: 0.5, 1: 0.6, 3: 0.7})


@pytest.mark.parametrize(
    ("first", "second", "mean", "reason"),
    [
        ([0.7], [0.6], 0.1, "one seed gives no interval"),
        ([], [0.6], math.nan, "the two have no seed in common"),
        ([0.7, 0.8], [0.7, 0.8], 0.0, "the two are equal on all 2 seeds, which gives no interval"),
        # 0.7 - 0.6 and 0.8 - 0.7 differ by rounding: 1e-16 is no estimate of noise
        (
            [0.7, 0.8],
            [0.6, 0.7],
            0.1,
            "the two differ by the same amount on all 2 seeds, which gives no interval",
        ),
        ([0.7, math.nan], [0.6, 0.5], math.nan, "a value is not finite"),
        ([math.inf, math.inf], [math.inf, 0.5], math.nan, "a value is not finite"),
    ],
)
def test_without_an_interval_nothing_is_resolved(first, second, mean, reason):
    found = paired_difference(by_seed(first), by_seed(second))
    assert not found.resolved
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([found.low, found.high, found.p_value]).all()
    assert found.reason == reason


def test_half_width_of_a_mean_equals_scipys():
    sample = [0.7, 0.72, 0.69, 0.75]
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(sample), scipy.stats.sem(sample))
    assert half_width(spread(sample)) == pytest.approx((high - low) / 2, rel=1e-9)
    assert math.isnan(half_width(spread([0.7])))


def test_one_interval_has_its_level():
    rng = np.random.default_rng(1)
    trials = 2000
    wrong = sum(
        paired_difference(by_seed(first), by_seed(second)).resolved
        for first, second in rng.normal(size=(trials, 2, 5))
    )
    assert scipy.stats.binomtest(wrong, trials, 0.05).pvalue > 0.01


def test_five_comparisons_together_have_their_level():
    """Without any difference, a comparison of five methods with uniform shows one at most 5% of the
    time.
    """
    rng = np.random.default_rng(2)
    trials = 2000
    wrong = 0
    for uniform, *others in rng.normal(size=(trials, 6, 5)):
        wrong += any(
            paired_difference(by_seed(other), by_seed(uniform), len(others)).resolved
            for other in others
        )
    assert scipy.stats.binomtest(wrong, trials, 0.05, alternative="greater").pvalue > 0.01
    assert wrong / trials > 0.025  # nor is the correction made twice; uncorrected it would be 0.17


def test_rows_hold_the_statistics_of_every_metric():
    results = synthetic_results()
    rows = {row.method: row for row in table_rows(results)}
    assert list(rows) == ["joint", "uniform", "scaled-uniform", "mgda", "mmpareto", "ensemble"]
    row = rows["mmpareto"]
    for of, metric, split in (
        (row.joint, "joint_accuracy", "test"),
        (row.unimodal["gray"], "gray_accuracy", "test"),
        (row.unimodal["colour"], "colour_accuracy", "test"),
        (row.conflicts["gray"], "conflict_rate/gray", "train"),
        (row.conflicts["colour"], "conflict_rate/colour", "train"),
        (row.seconds, "seconds", "train"),
    ):
        sample = list(values(results, "mmpareto", metric, split).values())
        assert (of.mean, of.sd, of.count) == pytest.approx(
            (np.mean(sample), np.std(sample, ddof=1), 5), rel=1e-12
        )
    assert rows["ensemble"].conflicts["gray"].count == 0


def test_differences_are_corrected_for_all_that_are_shown():
    results = synthetic_results()
    uniform = values(results, "uniform", "joint_accuracy")
    for row in table_rows(results):
        if row.method == "uniform":
            assert row.difference is None
        else:
            expected = paired_difference(values(results, row.method, "joint_accuracy"), uniform, 6)
            assert row.difference == expected
    by_part = {of.part: of.difference for of in attribution(results)}
    in_table = {row.method: row.difference for row in table_rows(results)}
    assert (by_part["total"], by_part["magnitude"]) == (
        in_table["mmpareto"],
        in_table["scaled-uniform"],
    )
    _, row = table_rows(accuracies(uniform=[0.7, 0.8, 0.7], mgda=[0.6, 0.65, 0.6]))
    assert row.difference == paired_difference(
        by_seed([0.6, 0.65, 0.6]), by_seed([0.7, 0.8, 0.7]), 1
    )


def test_without_uniform_rows_have_no_difference():
    (row,) = table_rows(accuracies(mmpareto=[0.7, 0.8]))
    assert row.difference is not None
    assert row.difference.seeds == ()
    assert not row.difference.resolved


def test_no_results_give_no_rows():
    assert table_rows([]) == []


def test_several_data_sets_are_refused():
    results = synthetic_results(seeds=[0]) + synthetic_results(seeds=[0], dataset="cg-mnist")
    with pytest.raises(MMParetoError, match="Report one data set at a time"):
        table_rows(results)


def test_attribution_is_corrected_for_three_and_adds_up():
    samples = {
        "uniform": [0.70, 0.72, 0.71],
        "scaled_uniform": [0.74, 0.75, 0.77],
        "mmpareto": [0.75, 0.75, 0.76],
    }
    found = {c.part: c for c in attribution(accuracies(**samples))}
    assert [(c.part, c.method, c.control) for c in found.values()] == [
        ("total", "mmpareto", "uniform"),
        ("magnitude", "scaled-uniform", "uniform"),
        ("direction", "mmpareto", "scaled-uniform"),
    ]
    for of in found.values():
        first, second = (
            by_seed(samples[name.replace("-", "_")]) for name in (of.method, of.control)
        )
        assert of.difference == paired_difference(first, second, 3)
    total = found["magnitude"].difference.mean + found["direction"].difference.mean
    assert found["total"].difference.mean == pytest.approx(total, rel=1e-12)


def sentences(results) -> list[str]:
    return attribution_sentences(results, attribution(results))


def test_sentences_say_what_is_resolved_and_what_is_not():
    uniform = np.array([0.700, 0.720, 0.710, 0.705, 0.715])
    magnitude = 0.03 + 0.002 * np.array([1, -1, 0, 1, -1])
    direction = 0.01 * np.array([1, -1, 0.5, -0.5, 0.1])
    total, longer, common = sentences(
        accuracies(
            uniform=uniform,
            scaled_uniform=uniform + magnitude,
            mmpareto=uniform + magnitude + direction,
        )
    )
    assert longer == (
        "Magnitude, the longer step of the encoders (scaled-uniform minus uniform): +3.0 points, "
        "95% interval +2.7 to +3.3, 5 seeds; resolved: higher joint accuracy."
    ).replace("+2.7 to +3.3", interval_by_scipy(magnitude))
    assert "+0.0 points" in common
    assert "5 seeds; not resolved: a gain and a loss are both compatible with it; one as" in common
    assert common.endswith(" seeds to be resolved with 80% power.")
    assert total.startswith("Total (mmpareto minus uniform): +3.0 points")


def interval_by_scipy(differences) -> str:
    error = scipy.stats.sem(differences)
    low, high = scipy.stats.t.interval(
        1 - 0.05 / 3, len(differences) - 1, np.mean(differences), error
    )
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def test_sentences_of_a_loss():
    uniform = np.array([0.70, 0.72, 0.71])
    (total, *_) = sentences(accuracies(uniform=uniform, mmpareto=uniform - [0.10, 0.101, 0.099]))
    assert "; resolved: lower joint accuracy." in total
    assert "+" not in total


@pytest.mark.parametrize(
    ("samples", "ends"),
    [
        ({}, ["mmpareto and uniform", "scaled-uniform and uniform", "mmpareto and scaled-uniform"]),
        ({"uniform": [0.7, 0.8]}, ["mmpareto", "scaled-uniform", "mmpareto and scaled-uniform"]),
    ],
)
def test_sentences_name_the_missing_methods(samples, ends):
    found = sentences(accuracies(**samples))
    assert [s.split(": ", 1)[1] for s in found] == [
        f"cannot be told: no test results of {end}." for end in ends
    ]


def test_a_single_seed_is_never_resolved():
    total, *_ = sentences(accuracies(uniform=[0.5], mmpareto=[0.9]))
    assert total.endswith("+40.0 points; not resolved: one seed gives no interval.")


def test_verdict_without_common_seeds():
    assert (
        verdict(paired_difference({0: 1.0}, {1: 1.0}), "accuracy")
        == "cannot be told: the two have no seed in common"
    )


def headline_of(results) -> str:
    return headline(results, table_rows(results))


def test_headline_of_a_best_method_that_is_not_resolved():
    found = headline_of(accuracies(uniform=[0.70, 0.74], mmpareto=[0.75, 0.71]))
    assert found.startswith(
        "mmpareto has the highest mean joint accuracy on the test split of cg-digits: 73.0% over 2 "
        "seeds. Difference from uniform: +1.0 points, 95% interval "
    )
    assert "not resolved" in found


def test_headline_where_uniform_is_best():
    found = headline_of(
        accuracies(uniform=[0.80, 0.84, 0.82], joint=[0.60, 0.64, 0.63], mgda=[0.81, 0.80, 0.83])
    )
    assert found == (
        "uniform has the highest mean joint accuracy on the test split of cg-digits: 82.0% over 3 "
        "seeds. Resolved as lower: joint."
    )


def test_headline_without_results():
    assert headline_of([]) == "No training has a test accuracy yet: there is nothing to compare."


@pytest.mark.parametrize(("size", "comparisons"), [(0.5, 1), (1.0, 1), (1.0, 6), (3.0, 1)])
def test_so_many_seeds_resolve_four_in_five_times(size: float, comparisons: int) -> None:
    seen = Difference(0, -1, 1, 1, (0, 1), sd=1.0, comparisons=comparisons)
    count = seeds_to_resolve(size, seen)
    assert count is not None
    random = np.random.default_rng(0)
    shares = []
    for number in (count - 1, count):
        draws = random.normal(size, 1, (20_000, max(number, 2)))
        t = draws.mean(1) / (draws.std(1, ddof=1) / math.sqrt(draws.shape[1]))
        quantile = scipy.special.stdtrit(draws.shape[1] - 1, 1 - 0.05 / comparisons / 2)
        shares.append((t > quantile).mean())
    error = 4 * math.sqrt(0.8 * 0.2 / 20_000)
    assert shares[1] >= 0.8 - error
    assert shares[0] <= 0.8 + error or count == 2
    assert seeds_to_resolve(-size, seen) == count


def test_seeds_that_nobody_has_are_no_number() -> None:
    seen = Difference(0, -1, 1, 1, (0, 1), sd=1.0)
    assert seeds_to_resolve(0.01, seen) is None
    assert seeds_to_resolve(1e6, seen) == 2
