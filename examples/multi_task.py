"""Several tasks on one trunk, and figure 1(b) of the MMPareto paper: tasks beside modalities.

Two digits in one image, the right one noisy: one trunk, a head per task. Beside them two
modalities: cg-digits.

    python examples/multi_task.py --seeds 5 --epochs 30 --out runs/multi-task
"""

import argparse
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import mmpareto as mp
from mmpareto import recipes
from mmpareto._storage._files import write_atomically
from mmpareto._storage._folders import make_folder
from mmpareto.compare import compare
from mmpareto.compare._drawing import BLUE, looks, panels, png, styled
from mmpareto.compare._results import Result, read_results, values, write_results
from mmpareto.compare._statistics import paired_difference, spread

TASKS = ("left", "right")
METHODS = (mp.Uniform(), mp.ScaledUniform(gamma=1.5), mp.MGDA(), mp.MMPareto(gamma=1.5))
PANELS = {
    "two tasks: mean accuracy": "mean_accuracy",
    "two modalities: joint accuracy": "joint_accuracy",
}
COMPARISONS = 8  # on either side three methods with uniform, and mmpareto with scaled-uniform


class TwoTasks(nn.Module):
    """One trunk, and a head per task on its 64 features."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = (
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.trunk = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(1024, 64), nn.ReLU())
        self.heads = nn.ModuleDict({task: nn.Linear(64, 10) for task in TASKS})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits by task, of images [N, 1, 8, 16]."""
        features = self.trunk(images)
        return {task: head(features) for task, head in self.heads.items()}


def two_digits(noise: float) -> dict[str, TensorDataset]:
    """Images [N, 1, 8, 16], labels [N, 2] and sources [N, 2], by part.

    Each digit stands once on either side.
    """
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images, generator = images.float().view(-1, 1, 8, 8) / 16, torch.Generator().manual_seed(0)
    test, val, train = torch.randperm(len(labels), generator=generator).tensor_split([360, 540])
    parts = {}
    for name, left in {"train": train, "val": val, "test": test}.items():
        right = left.roll(1)
        noisy = images[right] + noise * torch.randn(len(right), 1, 8, 8, generator=generator)
        pairs = torch.stack([left, right], dim=1)
        parts[name] = TensorDataset(torch.cat([images[left], noisy], dim=3), labels[pairs], pairs)
    return parts


def train(
    parts: dict[str, TensorDataset], method: mp.Method, seed: int, epochs: int
) -> dict[str, dict[str, float]]:
    """Metrics by split, of the epoch with the best mean accuracy on the validation part."""
    torch.manual_seed(seed)
    model = TwoTasks()
    encoders = mp.Partition(model, trunk=model.trunk)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    best, kept, geometry = -1.0, {}, []
    for _ in range(epochs):
        loader = DataLoader(parts["train"], batch_size=64, shuffle=True, drop_last=True)
        for images, labels, _ in loader:
            both = zip(model(images).items(), labels.T, strict=True)
            losses = {task: cross_entropy(logits, label) for (task, logits), label in both}
            optimizer.zero_grad()
            # Any names but "joint"; heads receive the plain sum.
            report = mp.backward(losses, encoders, method)
            optimizer.step()
            geometry.append(report.scalars())
        accuracy = evaluate(model, parts["val"])["mean_accuracy"]
        if accuracy > best:
            best, kept = accuracy, deepcopy(model.state_dict())
    model.load_state_dict(kept)
    means = {}
    for name in geometry[0]:
        values = [step[name].double() for step in geometry]
        means[name] = torch.stack(values).mean().item()
    return {
        "train": means,
        "val": evaluate(model, parts["val"]),
        "test": evaluate(model, parts["test"]),
    }


@torch.no_grad()
def evaluate(model: TwoTasks, part: TensorDataset) -> dict[str, float]:
    images, labels, _ = part.tensors
    left, right = (
        (torch.stack([z.argmax(1) for z in model(images).values()], 1) == labels)
        .double()
        .mean(0)
        .tolist()
    )
    return {"mean_accuracy": (left + right) / 2, "left_accuracy": left, "right_accuracy": right}


@styled
def figure(both: list[list[Result]]) -> Figure:
    names = [method.name for method in METHODS[1:]]
    drawn, axes = panels(list(PANELS), 2.5)
    drawn.axes[1].sharex(drawn.axes[0])
    for (title, ax), results, metric in zip(axes.items(), both, PANELS.values(), strict=True):
        reference = values(results, "uniform", metric)
        for y, name in enumerate(names):
            own, look = values(results, name, metric), looks(names)[name]
            of = paired_difference(own, reference, COMPARISONS)
            dots = [100 * (own[seed] - reference[seed]) for seed in own]
            ax.plot(dots, [y + 0.2] * len(dots), "o", color=look["color"], alpha=0.5, ms=4, mew=0)
            ax.errorbar(100 * of.mean, y - 0.1, xerr=100 * (of.high - of.mean), lw=2, **look)
        ax.axvline(0, color=BLUE, lw=1, zorder=0.9)
        ax.set_title(
            f"{title}\nuniform (line): {100 * spread(reference.values()).mean:.1f}%", loc="left"
        )
        ax.set(
            yticks=range(len(names)),
            yticklabels=names,
            ylim=(len(names) - 0.5, -0.5),
            xlabel="points over uniform",
        )
    drawn.supxlabel(
        "dots: seeds; bar: mean paired difference with its 95% interval, all intervals together",
        size=8,
    )
    return drawn


def main(seeds: int, epochs: int, noise: float, out: Path, compared: Path | None) -> None:
    parts, names, tasks = two_digits(noise), [method.name for method in METHODS], []
    for seed in range(seeds):  # of the weights and the order of samples
        for method in METHODS:
            for split, metrics in train(parts, method, seed, epochs).items():
                tasks += [
                    Result("two-digits", method.name, seed, split, *metric)
                    for metric in metrics.items()
                ]
    folder = compared or make_folder(out) / "cg-digits"
    if compare(
        replace(recipes.cg_digits(), epochs=epochs), names, seeds, folder, jobs=1, listener=print
    ):
        raise SystemExit(f"Trainings failed, see {folder}/failures.json")
    modalities = [
        r for r in read_results(folder / "results.csv") if r.seed < seeds and r.method in names
    ]
    write_results(make_folder(out) / "results.csv", tasks + modalities)
    write_atomically(out / "multi_task.png", png(figure([tasks, modalities])))
    for results, metric in zip([tasks, modalities], PANELS.values(), strict=True):
        for first, second in [
            *((name, "uniform") for name in names[1:]),
            ("mmpareto", "scaled-uniform"),
        ]:
            of = paired_difference(
                *(values(results, name, metric) for name in (first, second)), COMPARISONS
            )
            print(
                f"{metric}: {first} minus {second} {of.mean:+.4f} [{of.low:+.4f}, {of.high:+.4f}]"
            )
        for split, name in dict.fromkeys((r.split, r.metric) for r in results if r.split != "val"):
            of = {method: spread(values(results, method, name, split).values()) for method in names}
            print(
                split,
                name,
                *(f"{method} {x.mean:.4g} ± {x.sd:.2g}" for method, x in of.items()),
                sep=", ",
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--noise",
        type=float,
        default=0.5,
        help="standard deviation; the ink has values from 0 to 1",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--compared", type=Path, help="folder of `mmpareto compare` on cg-digits to use or continue"
    )
    main(**vars(parser.parse_args()))
