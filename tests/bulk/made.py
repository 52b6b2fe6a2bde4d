"""Small nets, files of inputs, and ways to be interrupted, for the tests of `predict_file`."""

import random
import time

import h5py
import numpy as np
import pandas as pd
import torch
from storage.made import assert_same
from torch import nn

from mcdrop import MCDropout, storage
from mcdrop.bulk import in_process

ROWS, BLOCK = 53, 8  # 7 blocks, the last of them of 5 rows
AUTO = {"passes": "auto", "max_passes": 600, "tolerance": 0.0015}  # of a classification: 200, 300 or 400 passes
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)


def make_net(outputs=2, seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, 16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(16, outputs),
    )


class Dense(nn.Module):
    """Classes at every place of a grid, on axis 1."""

    def __init__(self):
        super().__init__()
        self.body = make_net(12)

    def forward(self, x):
        return self.body(x).reshape(-1, 3, 2, 2)


class Named(nn.Module):
    """Two inputs by name."""

    def __init__(self):
        super().__init__()
        self.body = make_net()

    def forward(self, *, left, right):
        return self.body(left) - self.body(right)


class Slow(nn.Module):
    """A net that takes its time; how much of it is no part of what it is."""

    def __init__(self, seconds=0.0):
        super().__init__()
        self.body, self.seconds = make_net(), seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return self.body(x)


def regression():
    return MCDropout(make_net())


def classification():
    return MCDropout(make_net(3), task="classification")


def heteroscedastic():
    return MCDropout(make_net(4), task="heteroscedastic")


def dense():
    return MCDropout(Dense(), task="classification")


def named():
    return MCDropout(Named())


def write_npy(folder, x=X):
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


def write_h5(folder, x=X):
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("group/x", data=x, chunks=(7, 3))
    return f"{folder / 'x.h5'}::group/x"


def write_csv(folder, x=X):
    pd.DataFrame(x, columns=["a", "b", "c"]).to_csv(folder / "x.csv", index=False)
    return folder / "x.csv"


def write_parquet(folder, x=X):
    pd.DataFrame(x, columns=["a", "b", "c"]).to_parquet(folder / "x.parquet", row_group_size=11)
    return folder / "x.parquet"


WRITERS = [write_npy, write_h5, write_csv, write_parquet]


def write_named(folder, left=X, right=X[::-1]):
    with h5py.File(folder / "named.h5", "w") as file:
        file["left"], file["right"] = left, right
    return folder / "named.h5"


def assert_predicted(path, pred, rows=None):
    """A file holds a prediction to rounding, with the number of each point's row."""
    got = storage.read(path)
    expected = {group: dict(variables) for group, variables in pred.variables().items()}
    numbers = np.arange(len(pred)) if rows is None else np.asarray(rows)
    expected.setdefault("predictions_constant_data", {})["row"] = storage.Variable(
        ("point",), numbers, "1", "row of the inputs"
    )
    assert {group: set(known) for group, known in got.groups.items()} == {g: set(k) for g, k in expected.items()}
    for group, variables in expected.items():
        for name, variable in variables.items():
            there = got.groups[group][name]
            assert (there.dims, there.units, there.long_name) == (variable.dims, variable.units, variable.long_name)
            assert there.values.dtype == variable.values.dtype
            np.testing.assert_allclose(there.values, variable.values, rtol=2e-4, atol=2e-6, err_msg=name)
    assert got.kind == type(pred).__name__


def assert_bits(path, other, **but):
    """Two files hold the same to the bit, and say the same of it, but for some attributes."""
    got, expected = storage.read(path), storage.read(other)
    assert_same(got.groups, expected.groups)
    assert (got.kind, got.attributes) == (expected.kind, {**expected.attributes, **but})


def stopping_after(blocks, error):
    """Predict so many blocks, then fail."""

    def execute(prepared, reader, missing, advance):
        for count, done in enumerate(in_process(prepared, reader, missing, advance)):
            if count == blocks:
                raise error
            yield done

    return execute


def shuffled_twice(prepared, reader, missing, advance):
    """Give blocks in another order, and each of them twice."""
    order = list(missing)
    random.Random(0).shuffle(order)
    for done in in_process(prepared, reader, order, advance):
        yield done
        yield done


def nobody(prepared, reader, missing, advance):
    """Refuse to predict anything."""
    raise AssertionError("there is nothing to predict")


def journal_of(out):
    return out.with_name(f"{out.name}.unfinished")
