"""What a comparison knows of single methods. Everything else treats methods by name alone."""

from __future__ import annotations

from dataclasses import dataclass

BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#595959", "#8c8c8c"

JOINT_LOSS = "joint"
"""Trains with the joint loss alone."""

REFERENCE = "uniform"
"""Every other method's score is compared with this one's."""

LONGER_STEP = "scaled-uniform"
"""The reference with longer steps of the encoders: the control for the length of a step."""

SUBJECT = "mmpareto"
"""The method whose gain is attributed."""

ENSEMBLE = "ensemble"
"""Trains each modality alone and averages their predictions: several trainings, so no `Method`."""


@dataclass(frozen=True)
class Role:
    """How a method is shown.

    Args:
        colour: Its colour in every figure.
        marker: Its marker in every figure.
        note: A sentence below tables that have the method.
    """

    colour: str
    marker: str
    note: str = ""


# Okabe and Ito's colours, told apart by colour-blind readers; markers tell the methods apart in
# black and white.
ROLES = {
    JOINT_LOSS: Role(
        GREY,
        "o",
        "In joint, encoders learn from the joint loss alone and each modality's head reads them "
        "off.",
    ),
    REFERENCE: Role(BLUE, "s"),
    LONGER_STEP: Role("#56B4E9", "D"),
    "mgda": Role("#CC79A7", "v"),
    SUBJECT: Role(ORANGE, "*"),
    ENSEMBLE: Role(
        "#009E73",
        "^",
        "In ensemble, one network per modality is trained alone; joint is the average of their "
        "predictions.",
    ),
}
"""The methods that are compared by default, in the order of tables and figures."""

OTHER_ROLES = (
    Role("#E69F00", "X"),
    Role("#332288", "<"),
    Role("#882255", ">"),
    Role("#117733", "p"),
    Role("#AA4499", "h"),
)
"""Looks of further methods, in turn."""


CONTRASTS = (
    ("total", "Total", SUBJECT, REFERENCE),
    ("magnitude", "Magnitude, the longer step of the encoders", LONGER_STEP, REFERENCE),
    ("direction", "Direction, what is left beyond the longer step", SUBJECT, LONGER_STEP),
)
"""The parts of the subject's gain: name, title, method, and the control whose score it exceeds."""


def in_order(names: set[str]) -> list[str]:
    """Methods in the order of the tables: those with a role, then others by name."""
    return [name for name in ROLES if name in names] + sorted(names - ROLES.keys())
