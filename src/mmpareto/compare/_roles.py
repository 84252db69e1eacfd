"""Which part methods play in a comparison, as they declare it. No method is named here."""

from __future__ import annotations

from collections.abc import Iterable

from mmpareto import balancing
from mmpareto._catalogue import catalogue
from mmpareto.balancing import Method, Part, Role

BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#595959", "#8c8c8c"


def _roles() -> dict[str, Role]:
    """The roles by method, in their places."""
    declared: dict[str, Role] = {}
    for name, kind in catalogue(balancing, Method).items():
        if kind.role is not None:
            declared[name] = kind.role
    return dict(sorted(declared.items(), key=lambda item: item[1].place))


def _playing(part: Part) -> str:
    """The method that plays a part."""
    (name,) = (name for name, role in ROLES.items() if role.part == part)
    return name


ROLES = _roles()
"""The methods that are compared by default, in the order of tables and figures."""

JOINT_LOSS = _playing("plain")
"""Trains with the joint loss alone."""

REFERENCE = _playing("reference")
"""Every other method's score is compared with this one's."""

LONGER_STEP = _playing("control")
"""The reference with longer steps of the encoders: the control for the length of a step."""

SUBJECT = _playing("subject")
"""The method whose gain is attributed."""

ENSEMBLE = _playing("apart")
"""Trains each modality alone and averages their predictions."""

# Okabe and Ito's colours, told apart by colour-blind readers; markers tell the methods apart in
# black and white.
OTHER_LOOKS = (
    ("#E69F00", "X"),
    ("#332288", "<"),
    ("#882255", ">"),
    ("#117733", "p"),
    ("#AA4499", "h"),
)
"""Colours and markers of further methods, in turn."""


CONTRASTS = (
    ("total", "Total", SUBJECT, REFERENCE),
    ("magnitude", "Magnitude, the longer step of the encoders", LONGER_STEP, REFERENCE),
    ("direction", "Direction, what is left beyond the longer step", SUBJECT, LONGER_STEP),
)
"""The parts of the subject's gain: name, title, method, and the control whose score it exceeds."""


def held_out(names: Iterable[str]) -> list[str]:
    """Those of the methods that learn from a held-out part of the training data."""
    known = catalogue(balancing, Method)
    return [name for name in names if name in known and known[name].facts.uses_validation]


def in_order(names: set[str]) -> list[str]:
    """Methods in the order of the tables: those with a role, then others by name."""
    return [name for name in ROLES if name in names] + sorted(names - ROLES.keys())
