"""From-scratch dropout is torch's dropout."""

import pytest
import torch
from laws import LIMIT
from scipy.stats import binom, chisquare
from torch import nn

from mcdrop.layers import InvertedDropout, VanillaDropout


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_values_are_those_of_torch(p):
    x = torch.randn(1000).abs() + 1
    ours, theirs = InvertedDropout(p)(x), nn.Dropout(p)(x)
    kept = x / (1 - p) if p < 1 else x
    for out in (ours, theirs):
        torch.testing.assert_close(out[out != 0], kept[out != 0])
    share = [(out == 0).double().mean() for out in (ours, theirs)]
    assert abs(share[0] - share[1]) <= LIMIT * (2 * p * (1 - p) / 1000) ** 0.5


@pytest.mark.parametrize("layer", [nn.Dropout, InvertedDropout, VanillaDropout])
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_kept_units_are_counted_by_the_binomial_law(layer, p):
    """Of torch's and from-scratch dropout alike: how many of 10 units a row keeps, over 50,000 rows."""
    kept = (layer(p)(torch.ones(50_000, 10)) != 0).sum(1)
    observed = torch.bincount(kept, minlength=11).numpy()
    expected = 50_000 * binom.pmf(range(11), 10, 1 - p)
    rare = expected < 5
    pooled = [[*part[~rare], part[rare].sum()] for part in (observed, expected)] if rare.any() else [observed, expected]
    assert chisquare(*pooled).pvalue > 1e-4


def test_the_default_rate_is_that_of_torch():
    assert InvertedDropout().p == nn.Dropout().p


def test_the_rate_can_be_changed():
    layer = InvertedDropout(0.5)
    layer.p = 0.0
    assert torch.equal(layer(torch.ones(9)), torch.ones(9))


def test_complex_inputs_have_one_mask_for_both_parts():
    out = InvertedDropout(0.5)(torch.full((100,), 1 + 2j))
    assert set(out.tolist()) == {0j, 2 + 4j}
