"""Standardized columns, and the way back in the weights."""

import numpy as np
import pytest
import torch

from mcdrop import InputError
from mcdrop.sklearn.units import Units, fold_inputs, fold_outputs

from .made import quick


def test_folding_is_exact():
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 3, (20, 4)), rng.normal(-2, 7, (20, 2))
    x[:, 1] = 0.1  # constant
    inputs, outputs = Units.of(x, "X"), Units.of(y, "y")
    assert inputs.scale[1] == 1
    np.testing.assert_allclose(inputs.standardize(x).std(axis=0), [1, 0, 1, 1], atol=1e-12)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    before = net(torch.as_tensor(inputs.standardize(x))).detach().numpy() * outputs.scale + outputs.mean
    fold_inputs(net[0], inputs)
    fold_outputs(net[-1], outputs)
    np.testing.assert_allclose(net(torch.as_tensor(x)).detach().numpy(), before, rtol=1e-12)


def test_numbers_too_large_for_a_spread_are_refused():
    with pytest.raises(InputError, match="X must have columns whose spread is a finite number"):
        quick().fit([[1e300], [-1e300]], [0.0, 1.0])
