"""Which held-out digits is a classifier unsure of, and is it right to be?"""

import numpy as np

from mcdrop import MCDropout
from mcdrop.datasets import load_digits
from mcdrop.networks import mlp
from mcdrop.training import fit


def main(epochs: int = 10, passes: int = 200) -> None:
    """Train the perceptron and compare its accuracy where it is sure and where it is not."""
    digits = load_digits()
    net = mlp()
    fit(
        net,
        digits.train_images,
        digits.train_labels,
        loss="cross_entropy",
        epochs=epochs,
        batch_size=128,
        progress=True,
    )

    pred = MCDropout(net, task="classification").predict(digits.test_images, passes=passes, seed=0)
    right = pred.labels == digits.test_labels
    unsure = pred.mutual_information > np.quantile(pred.mutual_information, 0.8)
    print(f"accuracy on all {len(right)} digits: {right.mean():.1%}")
    print(f"on the surest 80%: {right[~unsure].mean():.1%}, on the other 20%: {right[unsure].mean():.1%}")


if __name__ == "__main__":
    main()
