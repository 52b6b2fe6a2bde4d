"""Every kind of dropout, in every form it can be called in, under every mode: one family, one set of laws."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from laws import FORMS, KINDS, LIMIT, Call, form_of, randn
from torch import nn

from mcdrop import MCDropout, NetError, NoDropoutError, RowMaskWarning
from mcdrop.sites import affine_noise

PASSES = 2000
every_form = pytest.mark.parametrize(("name", "form"), FORMS)
every_mode = pytest.mark.parametrize(
    ("masks", "execution"), [*itertools.product(["shared", "independent"], ["loop", "vectorized"])]
)


def inputs(name, rows=3):
    return randn(rows, *KINDS[name].shape) + 0.5


def sample(name, form, p, *, passes, masks="shared", execution="auto", **options):
    net = form_of(name, form, p)
    return MCDropout(net).sample(inputs(name), passes=passes, masks=masks, execution=execution, **options)


def beside_a_live_site(self, x):
    return torch.cat([self.form(x.clone()).flatten(1), F.dropout(x.flatten(1), 0.5)], dim=1)


@every_form
@every_mode
def test_rate_0_is_deterministic_and_silent(name, form, masks, execution):
    x = inputs(name)
    net = Call(beside_a_live_site, form=form_of(name, form, 0.0))
    samples = MCDropout(net).sample(x, passes=3, masks=masks, execution=execution)
    units = x[0].numel()
    assert torch.equal(samples[..., :units], x.flatten(1).expand(3, -1, -1))
    assert (samples[..., units:].std(dim=0) > 0).any()


@every_form
def test_rate_0_says_in_the_audit_that_training_mode_knows_no_other(name, form):
    silent, live = MCDropout(Call(beside_a_live_site, form=form_of(name, form, 0.0))).sites(inputs(name))
    assert (silent.rate, silent.live, silent.reason) == (0, False, "rate 0 in training mode, too")
    assert live.live


@every_form
def test_rate_0_everywhere_is_refused(name, form):
    with pytest.raises(NoDropoutError, match=r"rate 0, so every pass would be the same: .*give the rates"):
        sample(name, form, 0.0, passes=3)


@every_form
@every_mode
def test_rate_1_gives_what_torch_gives(name, form, masks, execution):
    samples = sample(name, form, 1.0, passes=2, masks=masks, execution=execution)
    expected = KINDS[name].function(inputs(name), 1.0, training=True)
    assert torch.equal(samples, expected.expand_as(samples))


@every_form
def test_every_form_draws_the_same(name, form):
    for masks in ("shared", "independent"):
        reference = sample(name, "module", 0.4, passes=3, masks=masks, execution="loop")
        torch.testing.assert_close(sample(name, form, 0.4, passes=3, masks=masks), reference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@every_mode
def test_moments_of_the_noise_are_those_in_closed_form(name, p, masks, execution):
    """Scaled noise is unbiased; alpha dropout shrinks the mean by a known factor."""
    kind, x = KINDS[name], inputs(name)
    model, passes = MCDropout(kind.module(p)), PASSES if execution == "vectorized" else PASSES // 4
    samples = model.sample(x, passes=passes, seed=1, masks=masks, execution=execution).double()
    mean, variance = kind.mean(x, p), kind.variance(x, p)
    error = (samples.mean(0) - mean).abs()
    assert (error <= LIMIT * (variance / passes).sqrt() + 1e-6).all()
    # A two-valued draw has fourth moment (1 - 3pq) / pq, in units of its variance squared; at p = 1/2 that is 1, and
    # the sample variance falls short by a chi-square over T instead.
    kurtosis = 1 / (p * (1 - p)) - 3
    bound = LIMIT * max((kurtosis - 1) / passes, 0) ** 0.5 + LIMIT**2 / passes
    assert ((samples.var(0) - variance).abs() <= variance * bound + 1e-6).all()


@pytest.mark.parametrize("name", KINDS)
def test_training_mode_of_torch_draws_from_the_same_two_values(name):
    """Each unit is either dropped or kept, and torch itself gives exactly the same two outcomes."""
    x = inputs(name)
    ours = MCDropout(KINDS[name].module(0.3)).sample(x, passes=60, masks="independent")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([KINDS[name].function(x, 0.3, training=True) for _ in range(60)])
    for end in (torch.amin, torch.amax):
        torch.testing.assert_close(end(ours, 0), end(theirs, 0), rtol=1e-6, atol=1e-6)
    distance = torch.minimum(ours - ours.amin(0), ours.amax(0) - ours)
    assert distance.abs().max() < 1e-6


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.channels])
@every_mode
def test_channel_kinds_drop_whole_channels(name, masks, execution):
    x = torch.ones(3, *KINDS[name].shape)
    samples = MCDropout(KINDS[name].module(0.5)).sample(x, passes=40, masks=masks, execution=execution)
    units = samples.flatten(3)
    assert (units == units[..., :1]).all()
    first = units[..., 0]
    assert (first.std(dim=2) > 0).any()  # channels of a row fall separately
    rows_differ = bool((first.std(dim=1) > 0).any())
    assert rows_differ == (masks == "independent")


@pytest.mark.parametrize(("function", "shape"), [(F.dropout1d, (4, 5)), (F.dropout3d, (4, 3, 3, 3))])
def test_unbatched_inputs_have_their_channels_first_as_in_torch(function, shape):
    """A (C, L) input of dropout1d holds channels, not rows: torch drops whole first-axis entries, and so do we."""
    net = Call(lambda _, x: function(x, 0.5))
    site = MCDropout(net).sites(torch.ones(shape))[0]
    assert site.mask_shape == (1,) * len(shape)
    samples = MCDropout(net).sample(torch.ones(shape), passes=30, masks="independent").flatten(2)
    assert (samples == samples[..., :1]).all()
    assert (samples[..., 0].std(dim=1) > 0).any()


@pytest.mark.parametrize("function", [F.dropout1d, F.dropout3d])
def test_unbatched_calls_on_one_row_at_a_time_are_sites_of_their_own(function):
    shape = (2, 4, 5) if function is F.dropout1d else (2, 4, 3, 3, 3)
    net = Call(lambda _, x: torch.stack([function(row, 0.5) for row in x]))
    with pytest.warns(RowMaskWarning):
        samples = MCDropout(net).sample(torch.ones(shape), passes=30).flatten(3)
    assert (samples == samples[..., :1]).all()
    assert (samples[:, 0, :, 0] != samples[:, 1, :, 0]).any()


def test_native_dropout_returns_its_mask_too():
    net = Call(lambda _, x: torch.stack(torch.native_dropout(x, 0.5, False)[::1], dim=1).float())
    samples = MCDropout(net).sample(torch.ones(2, 6), passes=5)
    assert torch.equal(samples[:, :, 0], 2 * samples[:, :, 1])
    assert 0 < samples[:, :, 1].mean() < 1


def test_complex_and_half_inputs_keep_their_type():
    for dtype in (torch.complex64, torch.float16, torch.bfloat16, torch.float64):
        net = Call(lambda _, x, dtype=dtype: F.dropout(x.to(dtype), 0.5).real)
        samples = MCDropout(net).sample(torch.ones(2, 6), passes=4)
        assert samples.dtype == dtype.to_real()
        assert set(samples.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("rate", [1.5, -0.1, float("nan"), float("inf")])
def test_rates_outside_0_and_1_are_refused_by_name(rate):
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    net[1].p = rate
    with pytest.raises(NetError, match=r"must lie in \[0, 1\], got p="):
        MCDropout(net).predict(torch.ones(2, 3))


@pytest.mark.parametrize("kind", ["dropout", "dropout2d", "alpha_dropout", "feature_alpha_dropout"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_noise_is_affine_with_the_mean_of_no_dropout(kind, rate):
    """Over the two outcomes of a unit, weighted by their probabilities, alpha dropout keeps a mean of 0 at 0."""
    factor, summand = affine_noise(kind, rate, torch.tensor([0.0, 1.0], dtype=torch.float64))
    weights = torch.tensor([rate, 1 - rate], dtype=torch.float64)
    if summand is not None:
        assert (summand * weights).sum().abs() < 1e-12
        second = (weights * (factor.square() + summand.square())).sum()  # of a x + b for x with mean 0, variance 1
        assert second == pytest.approx(1.0)
    elif rate < 1:
        assert (factor * weights).sum() == pytest.approx(1.0)
