"""The loop, and so every strategy, against closed forms: one layer of dropout is a sum of independent terms."""

import numpy as np
import pytest
import torch
from laws import ALPHA_PRIME, LIMIT, randn, with_weights
from torch import nn

from mcdrop import MCDropout
from mcdrop.masks import CountedBits, kept

ROWS, UNITS, OUTPUTS = 4, 6, 3
every_mode = pytest.mark.parametrize(
    ("masks", "execution"),
    [(masks, execution) for masks in ("shared", "independent") for execution in ("loop", "vectorized")],
)


def one_layer(p, drop=nn.Dropout):
    return with_weights(nn.Sequential(drop(p), nn.Linear(UNITS, OUTPUTS))).double()


def closed_form(net, x, p):
    """Return mean, variance and fourth cumulant of W (m x / (1 - p)) + b over independent Bernoulli(1 - p) masks m."""
    weight, bias = (parameter.detach() for parameter in (net[1].weight, net[1].bias))
    terms = x[:, None, :] * weight / (1 - p)  # (rows, outputs, units)
    q = p * (1 - p)
    return (x @ weight.T + bias).numpy(), (q * terms**2).sum(2).numpy(), (q * (1 - 6 * q) * terms**4).sum(2).numpy()


@every_mode
@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_one_layer_has_its_closed_form_mean_and_variance_ever_closer(p, masks, execution):
    """Errors fall like 1 / sqrt(T); 24 comparisons at LIMIT standard errors for each of three T."""
    net, x = one_layer(p), randn(ROWS, UNITS).double()
    mean, variance, fourth = closed_form(net, x, p)
    for passes in (100, 900, 8100) if execution == "vectorized" else (100, 900):
        pred = MCDropout(net).predict(x, passes=passes, seed=2, masks=masks, sampling="iid", execution=execution)
        assert (np.abs(pred.mean - mean) <= LIMIT * np.sqrt(variance / passes)).all()
        assert (np.abs(pred.mcse - np.sqrt(variance / passes)) <= 0.5 * np.sqrt(variance / passes)).all()
        of_variance = fourth / passes + 2 * variance**2 / (passes - 1)
        assert (np.abs(pred.std**2 - variance) <= LIMIT * np.sqrt(of_variance) + LIMIT**2 * variance / passes).all()


@every_mode
def test_variance_is_unbiased_from_two_passes_on(masks, execution):
    """Over 500 seeds, the mean of variances from T = 2 passes is the variance; divided by T it would be half."""
    net, x = one_layer(0.5), randn(1, UNITS).double()
    _, variance, fourth = closed_form(net, x, 0.5)
    seeds = 500 if execution == "vectorized" else 300
    options = {"passes": 2, "masks": masks, "sampling": "iid", "execution": execution}
    squares = [MCDropout(net).predict(x, seed=seed, **options).std ** 2 for seed in range(seeds)]
    error = np.sqrt((fourth / 2 + 2 * variance**2) / seeds)
    assert (np.abs(np.mean(squares, axis=0) - variance) <= LIMIT * error).all()
    assert (LIMIT * error < 0.5 * variance).all() or execution == "loop"


@every_mode
def test_alpha_dropout_keeps_the_closed_form_too(masks, execution):
    p, passes = 0.3, 2000
    net, x = one_layer(p, nn.AlphaDropout), randn(ROWS, UNITS).double()
    scale = ((1 - p) * (1 + p * ALPHA_PRIME**2)) ** -0.5
    weight, bias = (parameter.detach() for parameter in (net[1].weight, net[1].bias))
    mean = (x * scale * (1 - p)) @ weight.T + bias
    variance = (p * (1 - p) * ((x - ALPHA_PRIME) * scale)[:, None, :] ** 2 * weight**2).sum(2)
    pred = MCDropout(net).predict(x, passes=passes, masks=masks, execution=execution)
    assert (np.abs(pred.mean - mean.numpy()) <= LIMIT * np.sqrt(variance.numpy() / passes)).all()


def test_rows_with_shared_masks_have_the_joint_distribution_of_one_draw_of_the_weights():
    """Cov(y_a, y_b) = sum_j w_j^2 x_aj x_bj p / (1 - p); with independent masks it is 0."""
    p, passes = 0.5, 8000
    net, x = one_layer(p), randn(2, UNITS).double()
    weight = net[1].weight.detach()
    exact = (weight**2 * x[0] * x[1] * p / (1 - p)).sum(1)
    _, variance, _ = closed_form(net, x, p)
    error = LIMIT * np.sqrt(2 * variance[0] * variance[1] / passes)
    for masks, covariance in (("shared", exact), ("independent", torch.zeros(OUTPUTS))):
        samples = MCDropout(net).sample(x, passes=passes, masks=masks)
        centered = samples - samples.mean(0)
        measured = (centered[:, 0] * centered[:, 1]).mean(0)
        assert (np.abs((measured - covariance).numpy()) <= error).all()


def test_the_oracle_itself_is_the_formula_with_counted_masks():
    """Pass t of seed s multiplies by m / (1 - p) with the mask of (s, site, t), and nothing else happens."""
    net, x = one_layer(0.4), randn(ROWS, UNITS).double()
    samples = MCDropout(net).sample(x, passes=5, seed=9, sampling="iid", execution="loop")
    mask = kept(CountedBits(seed=9, site=0).shared(range(5), UNITS), 0.4)
    with torch.no_grad():
        expected = torch.stack([net[1](x * torch.from_numpy(m).double() / 0.6) for m in mask])
    torch.testing.assert_close(samples, expected, rtol=1e-12, atol=1e-12)


def test_second_site_uses_its_own_number():
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    samples = MCDropout(net).sample(torch.ones(1, 50), passes=4, seed=1, sampling="iid")
    masks = [kept(CountedBits(seed=1, site=site).shared(range(4), 50), 0.5) for site in (0, 1)]
    assert (samples[:, 0].numpy() == 4.0 * (masks[0] & masks[1])).all()
