"""Thinned passes held against those of the loop."""

import torch

from mcdrop.execution import make_twin, survey
from mcdrop.execution.loop import run_loop
from mcdrop.execution.noise import NoiseSource
from mcdrop.execution.thinning import make_thinned
from mcdrop.inputs import Batch
from mcdrop.outputs import one_tensor


def batch_of(x):
    if isinstance(x, dict):
        return Batch((), x, 0, len(next(iter(x.values()))))
    return Batch(x, {}, 0, len(x[0])) if isinstance(x, tuple) else Batch((x,), {}, 0, len(x))


class Case:
    """A net, its twin, and the loop's passes to hold others against."""

    def __init__(self, net, x, *, masks="shared", seed=4):
        self.batch, self.twin = batch_of(x), make_twin(net, one_tensor)
        self.plan = survey(self.twin, self.batch)
        self.noise = NoiseSource(self.plan, seed, masks)

    def make(self):
        return make_thinned(self.twin, self.plan, self.batch)

    def loop(self, passes=range(3, 8), batch=None):
        batch = (batch or self.batch).cloned()
        return run_loop(self.twin, batch, noise=self.noise, passes=passes)

    def thin(self, thinned, passes=range(3, 8), batch=None):
        return thinned.run(batch or self.batch, noise=self.noise, passes=passes)


def assert_equal(case, *, sliced=None, passes=range(3, 8), **tolerance):
    """Hold the fastest and the thinnest way against the loop."""
    thinned, loop = case.make(), case.loop(passes)
    size = float(loop.abs().max())
    limits = tolerance or {"rtol": 0.0, "atol": 1e-5 * size + 1e-30}
    for way in (thinned, thinned.thinnest()):
        torch.testing.assert_close(case.thin(way, passes), loop, **limits)
    if sliced is not None:
        assert len(thinned.sliced) == sliced
    return thinned
