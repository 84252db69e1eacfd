from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import scipy.stats
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from compare.synthetic import geometry, magnitudes, results
from mmpareto.compare._comparison import Magnitude
from mmpareto.compare._drawing import BLUE, ORANGE, looks, png
from mmpareto.compare._geometry_figures import cosine_figure, magnitudes_figure
from mmpareto.compare._results import Result, methods, values
from mmpareto.compare._score_figures import accuracy_figure, summary_figure

STEPS = geometry(steps=600)
NORMS = [row for row in magnitudes() if row.method == "mmpareto"]
FIGURES = {
    "cosine": lambda: cosine_figure(STEPS),
    "accuracy": lambda: accuracy_figure(results()),
    "magnitudes": lambda: magnitudes_figure(NORMS),
    "summary": lambda: summary_figure(results()),
}


def sample(method: str, metric: str) -> np.ndarray:
    return 100 * np.array(list(values(results(), method, metric).values()))


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def chunks(data: bytes) -> set[bytes]:
    found, at = set(), 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        found.add(name)
        at += length + 12
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_data_gives_the_same_bytes_whatever_the_users_settings(name):
    first = png(FIGURES[name]())
    with mpl.rc_context(
        {"font.size": 30, "savefig.dpi": 20, "figure.facecolor": "red", "lines.linewidth": 9}
    ):
        assert png(FIGURES[name]()) == first


@pytest.mark.parametrize("name", FIGURES)
def test_the_file_holds_an_image_and_neither_date_nor_version(name):
    data = png(FIGURES[name]())
    assert chunks(data) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert len(data) < 120_000
    image = imread(io.BytesIO(data))
    assert image[0, 0] == pytest.approx([1, 1, 1, 1])  # opaque white: readable on dark pages
    assert image[..., :3].std() > 0.05


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled_with_their_units(name):
    x, y = {
        "cosine": ("training step", "cosine (joint, unimodal)"),
        "accuracy": ("joint accuracy (%)", "gray accuracy (%)"),
        "magnitudes": ("gradient norm", "mini-batches"),
        "summary": ("joint accuracy on the test split (%)", ""),
    }[name]
    ax = FIGURES[name]().axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == (x, y)


def test_pyplot_is_not_loaded():
    code = (
        "import sys, mmpareto.compare._illustrations; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_cosines_are_coloured_by_sign():
    figure = cosine_figure(STEPS)
    for ax, part in zip(figure.axes, ("gray", "colour"), strict=True):
        rows = [row for row in STEPS if row.modality == part]
        for dots, colour, chosen in (
            (ax.collections[0], BLUE, [(r.step, r.cosine) for r in rows if r.cosine > 0]),
            (ax.collections[1], ORANGE, [(r.step, r.cosine) for r in rows if r.cosine <= 0]),
        ):
            assert chosen
            assert np.array_equal(dots.get_offsets(), chosen)
            assert to_hex(dots.get_facecolor()[0]).upper() == colour


def test_the_titles_give_the_share_of_conflicts():
    steps = [replace(row, conflict=row.step % 8 == 0) for row in STEPS]
    titles = [ax.get_title("left") for ax in cosine_figure(steps).axes]
    assert titles == [f"{name}: 12.5% of 600 steps in conflict" for name in ("gray", "colour")]


def test_cosines_that_are_not_defined_are_not_drawn():
    steps = [replace(row, cosine=math.nan) if row.step < 100 else row for row in STEPS]
    ax = cosine_figure(steps).axes[0]
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 500


def test_accuracies_are_means_with_standard_deviations():
    figure = accuracy_figure(results())
    for ax, part in zip(figure.axes, ("gray", "colour"), strict=True):
        assert len(ax.containers) == 6
        for method, (point, _, (across, up)) in zip(methods(results()), ax.containers, strict=True):
            joint, alone = sample(method, "joint_accuracy"), sample(method, f"{part}_accuracy")
            assert point.get_xydata() == pytest.approx(
                np.array([[joint.mean(), alone.mean()]]), rel=1e-12
            )
            assert np.ptp(across.get_segments()[0][:, 0]) == pytest.approx(
                2 * joint.std(ddof=1), rel=1e-9
            )
            assert np.ptp(up.get_segments()[0][:, 1]) == pytest.approx(
                2 * alone.std(ddof=1), rel=1e-9
            )
    assert labels(figure) == [*methods(results()), "one loss alone"]


def test_dashed_lines_are_training_with_one_loss():
    for ax, part in zip(accuracy_figure(results()).axes, ("gray", "colour"), strict=True):
        vertical, horizontal = [line for line in ax.lines if line.get_linestyle() == "--"]
        assert vertical.get_xdata() == pytest.approx([sample("joint", "joint_accuracy").mean()] * 2)
        assert horizontal.get_ydata() == pytest.approx(
            [sample("ensemble", f"{part}_accuracy").mean()] * 2
        )


def test_without_joint_and_ensemble_there_are_no_dashed_lines():
    figure = accuracy_figure(results(methods=("uniform", "mmpareto")))
    assert not [line for ax in figure.axes for line in ax.lines if line.get_linestyle() == "--"]
    assert labels(figure) == ["uniform", "mmpareto"]


def test_a_method_without_unimodal_accuracy_still_gives_its_line():
    found = [r for r in results() if r.method != "joint" or r.metric == "joint_accuracy"]
    for ax in accuracy_figure(found).axes:
        assert len(ax.containers) == 5
        assert len([line for line in ax.lines if line.get_linestyle() == "--"]) == 2


def test_histograms_count_every_batch_and_name_mean_and_variance():
    for ax in magnitudes_figure(NORMS).axes:
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        for objective, text, colour, patch in zip(
            ("joint", "unimodal"), legend, (BLUE, ORANGE), ax.patches, strict=True
        ):
            norm = [
                r.norm
                for r in NORMS
                if (r.modality, r.objective) == (ax.get_title("left"), objective)
            ]
            mean, variance = np.mean(norm), np.var(norm, ddof=1)
            assert text == f"{objective}: mean {mean:.3g}, variance {variance:.3g}"
            assert to_hex(patch.get_facecolor()).upper() == colour
            edges = np.histogram_bin_edges(
                [r.norm for r in NORMS if r.modality == ax.get_title("left")], 30
            )
            outline = patch.get_xy()
            counts = [outline[outline[:, 0] == edge, 1].max() for edge in edges]
            assert max(counts) == np.histogram(norm, edges)[0].max()


def test_the_summary_shows_every_seed_and_scipys_interval():
    ax = summary_figure(results()).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == methods(results())
    for method, dots, (point, _, (bar,)) in zip(
        methods(results()), ax.collections[::2], ax.containers, strict=True
    ):
        joint = sample(method, "joint_accuracy")
        assert np.asarray(dots.get_offsets())[:, 0] == pytest.approx(joint)
        assert point.get_xdata() == pytest.approx([joint.mean()])
        interval = scipy.stats.t.interval(
            0.95, len(joint) - 1, joint.mean(), scipy.stats.sem(joint)
        )
        assert bar.get_segments()[0][:, 0] == pytest.approx(interval, rel=1e-9)


def test_the_summary_does_not_show_impossible_accuracies():
    found = [
        Result("d", "uniform", seed, "test", "joint_accuracy", value)
        for seed, value in enumerate([0.2, 0.99])
    ]
    assert summary_figure(found).axes[0].get_xlim() == (-1, 101)


def test_a_method_keeps_its_look_across_figures_and_companions():
    everyone = looks([*methods(results()), "mine", "other"])
    assert len({(look["color"], look["marker"]) for look in everyone.values()}) == 8
    assert looks(["mmpareto"])["mmpareto"] == everyone["mmpareto"]
    for figure in (accuracy_figure(results()), summary_figure(results())):
        for method, (point, *_) in zip(methods(results()), figure.axes[0].containers, strict=True):
            assert point.get_color() == everyone[method]["color"]
            assert point.get_marker() == everyone[method]["marker"]


UNUSUAL = {
    "one seed": lambda: (summary_figure(results(seeds=[3])), accuracy_figure(results(seeds=[3]))),
    "one modality": lambda: (
        cosine_figure(geometry(["audio"])),
        accuracy_figure(results(modalities=["audio"])),
    ),
    "many modalities": lambda: (
        cosine_figure(geometry("abcdefg")),
        magnitudes_figure(magnitudes("abcdefg")),
    ),
    "names that look like formulas": lambda: (
        accuracy_figure(results(methods=("$x_1", "_a$b$"), modalities=["$m$", "_n"])),
        summary_figure(results(methods=("$x_1", "_a$b$"))),
        cosine_figure(geometry(["$m", "_n$"])),
    ),
    "one step": lambda: (cosine_figure(geometry(steps=1)),),
    "equal norms": lambda: (magnitudes_figure([replace(row, norm=1.0) for row in NORMS]),),
    "norms not finite": lambda: (
        magnitudes_figure(
            [replace(row, norm=math.nan if row.batch else math.inf) for row in NORMS]
        ),
    ),
    "one objective": lambda: (magnitudes_figure([Magnitude("uniform", "gray", "joint", 0, 1.0)]),),
    "an accuracy that is not finite": lambda: (
        summary_figure(
            [*results(), Result("cg-digits", "mine", 0, "test", "joint_accuracy", math.nan)]
        ),
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_data_is_drawn_without_a_warning(name):
    for figure in UNUSUAL[name]():
        assert png(figure).startswith(b"\x89PNG")
