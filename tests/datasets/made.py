"""Small files made on the spot, and what every refusal must say."""

import gzip
from pathlib import Path

import h5py
import numpy as np

DATA = Path(__file__).parents[2] / "data"


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=values)
    return path


def stored_co2():
    with h5py.File(DATA / "co2.h5", "r") as file:
        return {name: file[name][()] for name in file}


def idx(array):
    header = (0x0800 + array.ndim).to_bytes(4, "big")
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def mnist_parts():
    rng = np.random.default_rng(0)
    arrays = []
    for count in (12, 5):
        arrays.append(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        arrays.append(rng.integers(0, 10, count, dtype=np.uint8))
    return arrays


def write_idx(root, arrays, *, dot=False, zipped=False):
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        name = name.replace("-idx", ".idx") if dot else name
        raw = idx(array)
        (root / f"{name}{'.gz' if zipped else ''}").write_bytes(gzip.compress(raw) if zipped else raw)
    return root


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "expected" in text or "must" in text or "need" in text
    assert "got" in text
    return text
