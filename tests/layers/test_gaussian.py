"""Gaussian dropout: what its factor is, beyond mean and variance."""

import torch
from laws import LIMIT

from mcdrop.layers import GaussianDropout


def test_its_factor_is_normal():
    """A normal variable has skewness 0 and excess kurtosis 0; dropout's mask has neither."""
    factor = GaussianDropout(0.2)(torch.ones(200_000, dtype=torch.float64))
    z = (factor - 1) / 0.5
    assert abs((z**3).mean()) < LIMIT * (15 / 200_000) ** 0.5
    assert abs((z**4).mean() - 3) < LIMIT * (96 / 200_000) ** 0.5


def test_the_published_spread_at_one_half():
    """Srivastava et al. (2014), section 10: sigma is 1 where half of the units are kept."""
    assert GaussianDropout(0.5).std == 1.0
