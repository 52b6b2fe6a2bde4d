"""Nets, rows and data sets for the tests on Ray, and what becomes of workers that die."""

import os
import pathlib
import signal
from dataclasses import fields

import numpy as np
import torch
from torch import nn

from mcdrop import MCDropout

ROWS = 230
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)


def make_net(outputs=2, seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, 24),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(24, 24),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(24, outputs),
    )


class TwoHeads(nn.Module):
    """Two targets, of two inputs by name."""

    def __init__(self):
        super().__init__()
        self.body = make_net(4)

    def forward(self, *, left, right):
        y = self.body(torch.cat([left, right[:, None]], dim=1))
        return {"value": y[:, :1], "logits": y[:, 1:]}


class Elsewhere(nn.Module):
    """A net that does something once, or always, in a process other than that which made it."""

    def __init__(self, rows, marker=None):
        super().__init__()
        self.body, self.rows, self.marker, self.home = make_net(), rows, marker, os.getpid()

    def forward(self, x):
        if os.getpid() != self.home and len(x) == self.rows:  # not while it is surveyed
            self.there()
        return self.body(x)

    def there(self):
        raise NotImplementedError


class Killed(Elsewhere):
    """The first worker that comes to the last block but one is killed."""

    def there(self):
        try:
            pathlib.Path(self.marker).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class Failing(Elsewhere):
    """Fails in workers."""

    def there(self):
        raise ArithmeticError("no more")


class KilledDoubling:
    """A transform of inputs at which one worker, the first that comes to it, is killed."""

    def __init__(self, marker):
        self.marker, self.home = marker, os.getpid()

    def __call__(self, x):
        if os.getpid() != self.home:
            Killed.there(self)
        return 2 * x


def heteroscedastic():
    return MCDropout(make_net(4), task="heteroscedastic")


def classification():
    return MCDropout(make_net(3), task="classification")


def two_heads():
    return MCDropout(TwoHeads(), task={"value": "regression", "logits": "classification"})


def assert_equal(got, expected, rtol=1e-5, atol=1e-6):
    """Hold two predictions together, field by field."""
    if isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key in expected:
            assert_equal(got[key], expected[key])
        return
    assert type(got) is type(expected)
    for field in fields(expected):
        one, other = getattr(got, field.name), getattr(expected, field.name)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=field.name)
        elif field.name == "provenance":  # a file says more than the prediction: which inputs, which run
            assert {name: one[name] for name in other} == other
        else:
            assert one == other, field.name


def columns(x=X):
    return {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "id": np.arange(len(x))}


def uneven(ray, arrays=None, ends=(1, 2, 60, 75, 190, ROWS)):
    """Make a data set of blocks of different sizes."""
    import pandas as pd

    frame = pd.DataFrame(columns() if arrays is None else arrays)
    starts = (0, *ends[:-1])
    return ray.data.from_pandas([frame[start:stop] for start, stop in zip(starts, ends, strict=True)])
