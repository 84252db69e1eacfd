"""Random splits: complete, in proportion in every class, undivided groups, and the same in any
order.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from mmpareto.data._splitting import PARTS, split

FRACTIONS = (0.7, 0.1, 0.2)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 5))
def test_every_class_has_its_share_of_each_part(sizes: list[int], seed: int) -> None:
    strata = [[f"class {number}"] for number, size in enumerate(sizes) for _ in range(size)]
    parts = split([str(index) for index in range(len(strata))], strata, FRACTIONS, seed)
    for number, size in enumerate(sizes):
        counts = Counter(
            part for part, (name,) in zip(parts, strata, strict=True) if name == f"class {number}"
        )
        assert counts["train"] >= 1
        assert len(counts) == min(size, 3)  # training first, then the test, then validation
        for part, share in zip(PARTS, FRACTIONS, strict=True):
            assert (
                abs(counts[part] - share * size) < 2
            )  # rounding, and the one that each part has at least


@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_the_order_of_rows_does_not_matter(order: random.Random, seed: int) -> None:
    source = random.Random(seed)
    rows = [
        (f"group {source.randrange(9)}", source.sample("abcd", source.randint(1, 3)))
        for _ in range(40)
    ]
    shuffled = order.sample(rows, len(rows))

    def by_unit(rows: list[tuple[str, list[str]]]) -> dict[str, str]:
        units, strata = zip(*rows, strict=True)
        return dict(zip(units, split(units, strata, FRACTIONS, seed), strict=True))

    assert by_unit(rows) == by_unit(shuffled)


def test_groups_stay_together_and_parts_have_about_their_size() -> None:
    source = random.Random(0)
    groups = [f"speaker {source.randrange(30)}" for _ in range(1500)]
    strata = [[source.choice("abc")] for _ in groups]
    parts = split(groups, strata, FRACTIONS, 0)
    where = defaultdict(set)
    for group, part in zip(groups, parts, strict=True):
        where[group].add(part)
    assert all(len(found) == 1 for found in where.values())
    largest = max(Counter(groups).values())
    for part, share in zip(PARTS, FRACTIONS, strict=True):
        assert abs(parts.count(part) - share * len(groups)) < largest


def test_seeds_give_different_splits_and_a_share_of_zero_gives_none() -> None:
    units, strata = [str(index) for index in range(50)], [["x"]] * 50
    first, second = split(units, strata, FRACTIONS, 0), split(units, strata, FRACTIONS, 1)
    assert first != second
    assert sorted(first) == sorted(second)
    assert "val" not in split(units, strata, (0.5, 0.0, 0.5), 0)


def test_the_split_is_that_of_every_machine() -> None:
    parts = split([str(index) for index in range(12)], [["x"]] * 12, FRACTIONS, 0)
    assert "".join(part[1] for part in parts) == "arreeerrrrrr"


@given(st.integers(0, 20), st.integers(10, 60))
def test_a_rare_label_beside_a_common_one_has_its_share(seed: int, rare: int) -> None:
    strata = [["common", "rare"] if place < rare else ["common"] for place in range(500)]
    parts = split([str(place) for place in range(500)], strata, FRACTIONS, seed)
    for part, share in zip(PARTS, FRACTIONS, strict=True):
        assert abs(parts[:rare].count(part) - share * rare) < 2
        assert abs(parts.count(part) - share * 500) < 2


@given(st.integers(0, 50))
def test_classes_of_groups_have_their_shares_but_for_a_few_samples(seed: int) -> None:
    source = random.Random(seed)
    weights = {"calm": 0.55, "angry": 0.25, "happy": 0.15, "sad": 0.05}
    strata = [source.choices(list(weights), list(weights.values())) for _ in range(600)]
    groups = [f"speaker {place % 60}" for place in range(600)]
    parts = split(groups, strata, FRACTIONS, seed)
    for name in weights:
        rows = [place for place, (own,) in enumerate(strata) if own == name]
        for part, share in zip(PARTS, FRACTIONS, strict=True):
            count = sum(parts[place] == part for place in rows)
            assert abs(count - share * len(rows)) <= max(4, 0.1 * len(rows))
