"""Why train with dropout? The same perceptron with and without it on few digits, two seeds each, as learning curves."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from mcdrop.datasets import load_digits
from mcdrop.networks import mlp
from mcdrop.plots import plot_curves
from mcdrop.training import fit


def main(out: str = "regularization.png", epochs: int = 40, digits: int = 1000) -> None:
    """Train both nets, print their errors on held-out digits, and draw them after every epoch."""
    mpl.use("agg")
    data = load_digits()
    x, y = data.train_images[:digits], data.train_labels[:digits]
    held_out = data.test_images, data.test_labels

    curves = {}
    for title, rates in {"no dropout": (0.0, 0.0), "20% of pixels, 50% of units": (0.2, 0.5)}.items():
        errors = []
        for seed in (0, 1):
            net = mlp(hidden=(256, 256), activation="relu", input_p=rates[0], p=rates[1], seed=seed)
            history = fit(
                net, x, y, loss="cross_entropy", epochs=epochs, batch_size=50, schedule="cosine", seed=seed,
                validation=held_out, progress=f"{title}, seed {seed}",
            )  # fmt: skip
            errors.append((1 - history.validation_accuracy) * len(data.test_labels))  # after every epoch
        curves[title] = np.array(errors)
        ends = " and ".join(f"{curve[-1]:.0f}" for curve in errors)
        print(f"{title}: {ends} errors on {len(data.test_labels):,} digits")

    ax = plot_curves(curves, ylabel=f"errors on {len(data.test_labels):,} held-out digits")
    ax.set_title(f"Trained on {len(y):,} digits (two seeds)")
    ax.figure.savefig(Path(out))


if __name__ == "__main__":
    main()
