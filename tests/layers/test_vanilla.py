"""Vanilla dropout: the mean over masks is the eval mode, and it is inverted dropout with weights scaled down."""

import copy
import itertools
import pickle

import pytest
import torch
from laws import LIMIT, randn, with_weights
from torch import nn

from mcdrop import InputError, MCDropout, NoDropoutError
from mcdrop.layers import InvertedDropout, VanillaDropout

from .closed_forms import check_moments

RATES = [0.1, 0.5, 0.8]


def net_of(layer, widths=(3, 50, 2)):
    inputs, hidden, outputs = widths
    return with_weights(nn.Sequential(nn.Linear(inputs, hidden), layer, nn.Linear(hidden, outputs))).eval()


@torch.no_grad()
def scaled(net, factor):
    """Return a copy whose last layer has its weights, but not its bias, times a factor."""
    other = copy.deepcopy(net)
    other[2].weight.mul_(factor)
    return other


@pytest.mark.parametrize("p", RATES)
def test_mean_of_many_draws_is_the_eval_mode_and_the_variance_is_that_of_a_coin(p):
    layer, x = VanillaDropout(p), randn(4, 3, seed=1)
    draws = torch.stack([layer.train()(x) for _ in range(4000)])
    check_moments(draws, layer.eval()(x), x.square() * p * (1 - p))
    assert set((draws / x).round(decimals=5).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("p", RATES)
def test_mean_over_all_masks_is_the_eval_mode_of_a_linear_net(p):
    """The 2^5 thinned networks, each with its probability."""
    first, last, x = nn.Linear(3, 5).double(), nn.Linear(5, 2).double(), randn(4, 3).double()
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)), dtype=torch.float64)
    weights = ((1 - p) ** masks.sum(1)) * p ** (5 - masks.sum(1))
    thinned = torch.stack([last(first(x) * mask) for mask in masks])
    mean = (weights[:, None, None] * thinned).sum(0)
    torch.testing.assert_close(nn.Sequential(first, VanillaDropout(p), last).eval()(x), mean)


@pytest.mark.parametrize("p", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_with_the_same_masks_it_is_inverted_dropout_with_smaller_weights(p, masks):
    vanilla, x = net_of(VanillaDropout(p)), randn(6, 3, seed=2)
    inverted = scaled(vanilla, 1 - p)
    inverted[1] = InvertedDropout(p).eval()
    torch.testing.assert_close(vanilla(x), inverted(x))
    ours = MCDropout(vanilla).sample(x, passes=20, seed=5, masks=masks)
    theirs = MCDropout(inverted).sample(x, passes=20, seed=5, masks=masks)
    torch.testing.assert_close(ours, theirs)
    torch.manual_seed(3)
    trained = vanilla.train()(x)
    torch.manual_seed(3)
    torch.testing.assert_close(trained, inverted.train()(x))


@pytest.mark.parametrize("training", [True, False])
def test_rates_of_0_and_1_are_right_in_both_modes(training):
    x = randn(4, 3)
    assert torch.equal(VanillaDropout(0).train(training)(x), x)
    assert torch.equal(VanillaDropout(1).train(training)(x), torch.zeros_like(x))


def test_the_generator_moves_only_where_units_are_dropped():
    before = torch.get_rng_state()
    VanillaDropout(0.5).eval()(randn(4, 3))
    VanillaDropout(0).train()(randn(4, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_are_those_of_the_factor():
    x = randn(4, 3).requires_grad_()
    out = VanillaDropout(0.5).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, (out != 0).float())
    x.grad = None
    VanillaDropout(0.25).eval()(x).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 0.75))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_keeps_its_type_and_the_rate(dtype):
    layer, x = VanillaDropout(0.001), torch.ones(400_000, dtype=dtype)
    out = layer.train()(x)
    assert out.dtype == layer.eval()(x).dtype == dtype
    assert abs((out == 0).double().mean() - 0.001) < LIMIT * (0.001 / 400_000) ** 0.5


def test_complex_inputs_have_one_mask_for_both_parts():
    assert set(VanillaDropout(0.5)(torch.full((100,), 1 + 2j)).tolist()) == {0j, 1 + 2j}


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_passes_have_the_moments_of_the_training_mode(p, masks):
    net, x = net_of(VanillaDropout(p)), randn(4, 3, seed=1)
    with torch.no_grad():
        mean, hidden, last = net(x), net[0](x), net[2]
        variance = (hidden.square() * p * (1 - p)) @ last.weight.square().T
        trained = net.train()(x.repeat(2000, 1)).reshape(2000, 4, 2)
    check_moments(trained, mean, variance)
    draws = MCDropout(net.eval()).sample(x, passes=2000, seed=1, masks=masks, sampling="iid")
    check_moments(draws, mean, variance)


def test_it_is_a_live_site_of_its_rate():
    sites = MCDropout(net_of(VanillaDropout(0.3))).sites(randn(2, 3))
    assert [(site.module, site.rate) for site in sites.live] == [("1", pytest.approx(0.3))]
    assert sites.silent == ()
    with pytest.raises(NoDropoutError):
        MCDropout(net_of(VanillaDropout(0))).predict(randn(2, 3), passes=2)


@pytest.mark.parametrize("execution", ["loop", "vectorized"])
def test_passes_are_alike_however_they_run(execution):
    net, x = net_of(VanillaDropout(0.4)), randn(7, 3)
    expected = MCDropout(net).sample(x, passes=6, seed=3)
    assert expected.std(0).min() > 0
    other = MCDropout(net).sample(x, passes=6, seed=3, execution=execution, batch_size=2)
    torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-5)


def test_copies_texts_and_the_default_rate():
    layer = pickle.loads(pickle.dumps(VanillaDropout(0.25)))
    assert repr(layer) == repr(copy.deepcopy(layer)) == "VanillaDropout(p=0.25)"
    assert VanillaDropout().p == nn.Dropout().p
    layer.p = 0.0
    assert torch.equal(layer(torch.ones(9)), torch.ones(9))


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), "0.5", None, True])
def test_bad_rates_are_refused(p):
    with pytest.raises(InputError, match=r"p must be a dropout rate in \[0, 1\], got .*; pass the share"):
        VanillaDropout(p)
