"""Blocks and predictions for the tests of files."""

import weakref
from itertools import pairwise

import numpy as np

from mcdrop import ClassificationPredictive, RegressionPredictive
from mcdrop.predictive import at_points
from mcdrop.storage import Block, Variable


def assert_same(got, expected):
    """Variables are equal to the bit, and so is all that is said of them; the order of names counts."""
    assert list(got) == list(expected)
    for group, variables in expected.items():
        assert list(got[group]) == list(variables)
        for name, variable in variables.items():
            there = got[group][name]
            assert (there.dims, there.units, there.long_name) == (variable.dims, variable.units, variable.long_name)
            assert there.values.dtype == variable.values.dtype
            assert there.values.shape == variable.values.shape
            assert there.values.tobytes() == np.asarray(variable.values).tobytes()


def cut(pred, ends):
    """Return a prediction as blocks that end at some points."""
    parts = [at_points(pred, np.arange(start, stop)) for start, stop in pairwise([0, *ends, len(pred)])]
    return [Block(len(part), part.variables) for part in parts]


def block_of(groups, points):
    return Block(points, lambda: groups)


def mean_of(values, **more):
    """Return the groups of a block with one number per point."""
    return {"predictions": {"mean": Variable(("point",), np.asarray(values, float), "ppm", "mean"), **more}}


def regression(points=5000, trailing=(1,), passes=9, **more):
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(points, *trailing)), rng.uniform(size=(points, *trailing))
    return RegressionPredictive(mean, std, passes=passes, provenance={"seed": 7, "sites": [1]}, **more)


def classification(points=3000, trailing=(3,), passes=9, **more):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(passes, points, *trailing))
    every = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    votes = np.eye(trailing[-1], dtype=np.int64)[logits.argmax(axis=-1)].sum(axis=0)
    entropy = -(every * np.log(every)).sum(axis=-1).mean(axis=0)
    fields = (every.mean(0), every.std(0), logits.mean(0), logits.std(0), votes, entropy)
    return ClassificationPredictive(*fields, passes=passes, provenance={"seed": 7}, **more)


def watched(points, number):
    """Return blocks that see, when they are read, that no other is in memory any more."""
    seen = []

    def read():
        assert not any(one() is not None for one in seen), "a block before is still there"
        values = np.ones((points, 4))
        seen.append(weakref.ref(values))
        return {"predictions": {"mean": Variable(("point", "output"), values)}}

    return [Block(points, read)] * number
