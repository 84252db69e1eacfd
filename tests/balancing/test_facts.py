"""What every exported method says of itself: complete, of one form, and as counted."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter

import pytest

import mmpareto as mp
from mmpareto import balancing
from mmpareto._catalogue import catalogue
from networks import DEFAULTS, Count, LateFusion

METHODS = catalogue(balancing, mp.Method)
every_class = pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)


@every_class
def test_states_its_source_and_what_it_needs(cls: type[mp.Method]) -> None:
    facts = cls.facts
    assert isinstance(facts, balancing.Facts)
    assert facts.source.strip()
    assert facts.family.strip()
    assert facts.needs.strip()
    assert facts.modalities in ("any", "two")
    assert facts.forwards >= 1
    assert facts.backwards >= 1
    texts = f"{facts.source}{facts.family}{facts.needs}"
    assert not re.search(r"[|\n]", texts), "which would break a table"


@every_class
def test_says_in_which_interval_each_number_is_worth_trying(cls: type[mp.Method]) -> None:
    default = cls()
    numbers = {
        field.name
        for field in dataclasses.fields(cls)
        if type(getattr(default, field.name)) in (int, float)
    }
    assert set(cls.facts.ranges) == numbers
    for name, interval in cls.facts.ranges.items():
        assert interval.scale in ("linear", "log")
        assert interval.low <= getattr(default, name) <= interval.high
        assert interval.low > 0 or interval.scale == "linear"
        for end in (interval.low, interval.high):
            assert getattr(dataclasses.replace(default, **{name: end}), name) == end


@pytest.mark.parametrize("method", DEFAULTS, ids=lambda method: method.name)
def test_costs_the_passes_it_declares(method: mp.Method) -> None:
    model, passes = LateFusion("audio", "visual"), Counter[str]()
    forwards = Counter[str]()
    for name, encoder in model.encoders.items():
        encoder.register_forward_hook(
            lambda _, __, feature, name=name: Count.apply(feature, passes, name)
        )
        encoder.register_forward_hook(lambda *_, name=name: forwards.update([name]))
    mp.backward(model.losses(model.batch()), model.partition, method, geometry=None)
    assert forwards == dict.fromkeys(model.encoders, method.facts.forwards)
    assert passes == dict.fromkeys(model.encoders, method.facts.backwards)
