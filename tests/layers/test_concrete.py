"""Concrete dropout: the relaxation, its gradient, and the divergence in the loss."""

import math

import pytest
import torch
from laws import LIMIT
from torch import nn

from mcdrop import InputError
from mcdrop.layers import ConcreteDropout, InvertedDropout, concrete_regularizer

from .closed_forms import relaxed


def scalar(p=0.2, *, temperature=0.1, weight=1.0):
    """Return a layer of one weight and no bias, in double precision."""
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(layer.weight, weight)
    return ConcreteDropout(layer, p=p, temperature=temperature)


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
def test_more_than_half_is_gone_with_probability_p(p, temperature):
    kept = scalar(p, temperature=temperature)(torch.ones(20_000, 1, dtype=torch.float64)) * (1 - p)
    assert ((kept >= 0) & (kept <= 1)).all()
    gone = (kept < 0.5).double().mean().item()
    assert abs(gone - p) <= LIMIT * math.sqrt(p * (1 - p) / 20_000)


def test_at_a_low_temperature_it_is_dropout():
    layer, x = ConcreteDropout(eye(3), p=0.7, temperature=1e-6), torch.randn(500, 3)
    torch.manual_seed(5)
    concrete = layer(x)
    torch.manual_seed(5)
    inverted = InvertedDropout(0.3)(torch.ones(500, 3)) == 0  # a large u is kept there and dropped here
    torch.testing.assert_close(concrete, x * inverted / 0.3)


def eye(size):
    layer = nn.Linear(size, size, bias=False)
    nn.init.eye_(layer.weight)
    return layer


def test_the_bias_at_the_usual_temperature_is_what_the_module_says():
    mean, _ = relaxed(0.1, 0.1)
    assert abs(1 - mean) == pytest.approx(0.0013, abs=5e-5)
    assert relaxed(0.5, 0.1)[0] == pytest.approx(1)


def test_the_gradient_of_the_rate_is_exact():
    layer, x = scalar(0.3), torch.randn(6, 1, dtype=torch.float64)

    def run(logit):
        torch.manual_seed(6)  # the same u for every logit
        return torch.func.functional_call(layer, {"p_logit": logit}, (x,))

    assert torch.autograd.gradcheck(run, (layer.p_logit.detach().clone().requires_grad_(),))


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_gradient_is_that_of_the_expected_loss(p):
    """With y = (1 - z) / (1 - p), E[y²] is known by quadrature; so is its slope in the logit, by differences."""
    layer = scalar(p, temperature=0.5)

    def expected(logit):
        mean, variance = relaxed(1 / (1 + math.exp(-logit)), 0.5)
        return mean**2 + variance

    logit, step = layer.p_logit.item(), 1e-4
    slope = (expected(logit + step) - expected(logit - step)) / (2 * step)
    logits = layer.p_logit.detach().expand(100_000).clone().requires_grad_()
    u = torch.rand(100_000, dtype=torch.float64)
    y = torch.sigmoid(-(logits + u.logit()) / 0.5) * (1 + logits.exp())
    (single,) = torch.autograd.grad(y.square().sum(), logits)
    torch.manual_seed(7)
    layer(torch.ones(100_000, 1, dtype=torch.float64)).square().mean().backward()
    assert abs(layer.p_logit.grad.item() - slope) <= LIMIT * single.std().item() / math.sqrt(100_000)


def test_extreme_rates_and_draws_stay_finite(monkeypatch):
    layer = ConcreteDropout(eye(3), p=0.5)
    for logit in (-200.0, -80.0, 0.0, 20.0, 60.0, 200.0):
        layer.p_logit.data.fill_(logit)
        out = layer(torch.randn(50, 3))
        penalty = layer.regularizer(length_scale=1e-9, n=10)
        (out.sum() + penalty).backward()
        assert out.isfinite().all()
        assert penalty.isfinite()
        assert layer.p_logit.grad.isfinite()
    layer.p_logit.data.fill_(0.0)
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.zeros(shape, **options))
    torch.testing.assert_close(layer(torch.ones(2, 3)), torch.full((2, 3), 2.0))  # u = 0 is kept
    layer(torch.ones(2, 3)).sum().backward()
    assert layer.p_logit.grad.isfinite()
    for dtype in (torch.float16, torch.float32, torch.float64):
        layer.p_logit.data.fill_(200.0)
        assert layer.to(dtype)(torch.ones(2, 3, dtype=dtype)).isfinite().all()


@pytest.mark.parametrize(("logit", "sign"), [(200.0, 1), (-200.0, -1)])
def test_an_extreme_rate_finds_its_way_back(logit, sign):
    """The divergence grows on either side, so that its gradient points back from beyond the bounds too."""
    layer = ConcreteDropout(nn.Linear(4, 4))
    layer.p_logit.data.fill_(logit)
    layer.regularizer(length_scale=0.1, n=1).backward()
    assert layer.p_logit.grad.isfinite()
    assert layer.p_logit.grad * sign > 0


def test_the_rate_is_learned():
    """Where a unit must not be dropped its rate falls; where it does harm it rises."""
    for sign in (1.0, -1.0):
        layer = scalar(0.5, temperature=0.5)
        optimizer = torch.optim.Adam([layer.p_logit], lr=0.1)
        for _ in range(50):
            optimizer.zero_grad()
            kept = layer(torch.ones(200, 1, dtype=torch.float64)) * (1 - layer.p)
            (-sign * kept.mean()).backward()
            optimizer.step()
        assert (layer.rate < 0.1) if sign > 0 else (layer.rate > 0.9)


def entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_the_regularizer_is_the_paper_s_divergence(p):
    """Equations 3 and 4, with M the weight of a mask of 0 and 1."""
    layer = ConcreteDropout(nn.Linear(7, 3).double(), p=p)
    m = layer.layer.weight.detach() / (1 - p)
    divergence = 0.2**2 * (1 - p) / 2 * m.square().sum().item() - 7 * entropy(p)
    assert layer.regularizer(length_scale=0.2, n=50).item() == pytest.approx(divergence / 50)
    assert layer.regularizer(length_scale=0.2, n=50, tau=4.0).item() == pytest.approx(2 * divergence / (4 * 50))


def test_the_published_coefficients():
    """The authors' code: l² / (tau N) for |W|² / (1 - p), and 2 / (tau N) for minus the entropy of the inputs."""
    layer = ConcreteDropout(nn.Linear(5, 2).double(), p=0.3)
    weight = layer.layer.weight.detach().square().sum().item()
    code = 1e-2**2 / (0.1 * 1000) * weight / 0.7 - 2 / (0.1 * 1000) * 5 * entropy(0.3)
    assert layer.regularizer(length_scale=1e-2, n=1000, tau=0.1).item() == pytest.approx(code)


def test_the_two_loss_conventions_have_the_same_minimum():
    """-log p of a Gaussian of precision tau is tau/2 times the squared error: so is what is added."""
    layer = ConcreteDropout(nn.Linear(5, 2), p=0.3)
    likelihood = layer.regularizer(length_scale=0.1, n=10)
    squared = layer.regularizer(length_scale=0.1, n=10, tau=8.0)
    torch.testing.assert_close(squared * 8.0 / 2, likelihood)


def test_without_weights_the_divergence_is_least_at_one_half():
    layer = scalar(0.5, weight=0.0)
    layer.regularizer(length_scale=1.0, n=1).backward()
    assert layer.p_logit.grad.item() == pytest.approx(0, abs=1e-12)
    rates = [scalar(p, weight=0.0).regularizer(length_scale=1.0, n=1).item() for p in (0.3, 0.5, 0.7)]
    assert min(rates) == rates[1]


def test_channels_are_the_units_of_a_convolution():
    layer = ConcreteDropout(nn.Conv2d(3, 2, 5), p=0.4, channels=True)
    nn.init.zeros_(layer.layer.weight)
    assert layer.regularizer(length_scale=1.0, n=1).item() == pytest.approx(-3 * entropy(0.4))
    x = torch.ones(2, 3, 5, 5)
    kept = layer._kept(x)
    assert kept.shape == (2, 3, 1, 1)
    assert layer._kept(x[0]).shape == (3, 1, 1)  # without a batch axis
    with pytest.raises(InputError, match=r"divergence of a convolution .* make it with channels=True"):
        ConcreteDropout(nn.Conv2d(3, 2, 5)).regularizer(length_scale=1.0, n=1)


def test_the_net_s_regularizer_is_the_sum():
    net = nn.Sequential(ConcreteDropout(nn.Linear(2, 3)), nn.Tanh(), nn.Sequential(ConcreteDropout(nn.Linear(3, 1))))
    parts = [net[0].regularizer(length_scale=0.1, n=9), net[2][0].regularizer(length_scale=0.1, n=9)]
    torch.testing.assert_close(concrete_regularizer(net, length_scale=0.1, n=9), sum(parts))
    with pytest.raises(InputError, match=r"must hold ConcreteDropout, got a Linear without"):
        concrete_regularizer(nn.Linear(2, 2), length_scale=0.1, n=9)


def test_p_and_rate():
    layer = ConcreteDropout(nn.Linear(2, 3).double(), p=0.15)
    assert layer.rate == pytest.approx(0.15)
    assert layer.p.requires_grad
    assert list(layer.state_dict()) == ["p_logit", "layer.weight", "layer.bias"]


def test_transposed_and_parametrized_layers_are_taken():
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    for layer, x in ((nn.ConvTranspose1d(4, 2, 3), torch.randn(5, 4, 6)), (normed, torch.randn(5, 4))):
        wrapped = ConcreteDropout(layer, channels=x.dim() == 3)
        assert wrapped.inputs == 4
        (wrapped(x).sum() + wrapped.regularizer(length_scale=0.1, n=3)).backward()


@pytest.mark.parametrize("layer", [nn.LSTM(2, 2), nn.LayerNorm(2), nn.Embedding(2, 2), nn.LazyLinear(2), "Linear"])
def test_other_layers_are_refused(layer):
    with pytest.raises(InputError, match=rf"linear layer or a convolution, got {type(layer).__name__}"):
        ConcreteDropout(layer)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match=r"temperature must be a number above 0, got 0; 0.1 is usual"):
        ConcreteDropout(nn.Linear(2, 2), temperature=0)
    with pytest.raises(InputError, match="channels=True is for convolutions, got Linear"):
        ConcreteDropout(nn.Linear(2, 2), channels=True)
    layer = ConcreteDropout(nn.Linear(2, 2))
    with pytest.raises(InputError, match="length_scale must be a number above 0, got -1"):
        layer.regularizer(length_scale=-1, n=5)
    with pytest.raises(InputError, match=r"n must be an integer of at least 1 \(the rows of the training set\), got 0"):
        layer.regularizer(length_scale=1, n=0)
    with pytest.raises(InputError, match="tau must be a number above 0, got inf"):
        layer.regularizer(length_scale=1, n=5, tau=math.inf)
