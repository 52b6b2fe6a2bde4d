"""Laws that every layer obeys in plain torch: exact moments, eval mode, copies, and refused rates."""

import copy
import pickle

import pytest
import torch
from laws import LIMIT
from torch import nn

from mcdrop import InputError
from mcdrop.layers import (
    ConcreteDropout,
    DropConnect,
    GaussianDropout,
    InvertedDropout,
    VariationalDropout,
    VariationalRNN,
    add_dropout,
)

from .closed_forms import CASES, check_moments

every_case = pytest.mark.parametrize("name", CASES)


def passes(net: nn.Module, x: torch.Tensor, count: int) -> torch.Tensor:
    """Run the net on copies of x side by side, each row with masks of its own."""
    with torch.no_grad():
        out = net(x.repeat(count, *(1,) * (x.dim() - 1)))
    return out.reshape(count, len(x), *out.shape[1:])


@every_case
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_mean_and_variance_in_training_mode(name, p):
    case = CASES[name](p)
    case.net.train()
    if name == "DropConnect":  # one mask a call
        with torch.no_grad():
            draws = torch.stack([case.net(case.x) for _ in range(4000)])
    else:
        draws = passes(case.net, case.x, 20_000)
    check_moments(draws, case.mean, case.variance)


@every_case
def test_eval_mode_is_what_comes_without_dropout(name):
    """It is the mean, too, but for the concrete relaxation's bias."""
    case = CASES[name](0.3)
    case.net.eval()
    out = case.net(case.x)
    assert torch.equal(out, case.net(case.x))
    tolerance = 0.02 if "Concrete" in name else 1e-6
    torch.testing.assert_close(out, case.mean.to(out.dtype), rtol=tolerance, atol=tolerance)


@every_case
def test_neither_mode_moves_the_generator_in_eval(name):
    case = CASES[name](0.3)
    before = torch.get_rng_state()
    case.net.eval()(case.x)
    assert torch.equal(torch.get_rng_state(), before)


@every_case
def test_gradients_reach_the_input_and_every_parameter(name):
    case = CASES[name](0.3)
    x = case.x.clone().requires_grad_()
    case.net.train()(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in case.net.parameters())


@every_case
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_draw_alike(name, copied):
    case = CASES[name](0.3)
    other = copied(case.net.train())
    torch.manual_seed(1)
    expected = case.net(case.x)
    torch.manual_seed(1)
    assert torch.equal(other(case.x), expected)
    assert repr(other) == repr(case.net)


@every_case
def test_double_precision_stays(name):
    case = CASES[name](0.3)
    assert case.net.double().train()(case.x.double()).dtype == torch.float64


@every_case
def test_bfloat16_keeps_the_rate(name):
    """A half's uniform numbers have 8 bits: compared with 0.1, they would drop 26 units of 256."""
    case = CASES[name](0.1)
    out = case.net.bfloat16().train()(case.x.bfloat16())
    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()


def test_the_rate_of_bfloat16_is_exact():
    x = torch.ones(400_000, 1, dtype=torch.bfloat16)
    concrete = ConcreteDropout(nn.Linear(1, 1, bias=False), p=0.001).bfloat16()
    nn.init.ones_(concrete.layer.weight)
    for layer in (InvertedDropout(0.001), concrete):
        dropped = (layer(x) < 0.5).double().mean()
        assert abs(dropped - 0.001) < LIMIT * (0.001 / 400_000) ** 0.5


@pytest.mark.parametrize(
    "make",
    [
        InvertedDropout,
        GaussianDropout,
        VariationalDropout,
        lambda p: DropConnect(nn.Linear(2, 2), p),
        lambda p: ConcreteDropout(nn.Linear(2, 2), p=p),
        lambda p: VariationalRNN(nn.GRU(2, 2), p_input=p),
        lambda p: VariationalRNN(nn.GRU(2, 2), p_hidden=p),
        lambda p: add_dropout(nn.Linear(2, 2), p),
    ],
)
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), "0.5", None, True, torch.tensor(0.5)])
def test_bad_rates_are_refused(make, p):
    with pytest.raises(InputError, match=r"must be a dropout rate in [\[(]0, 1[\])], got .*; pass the share"):
        make(p)


@pytest.mark.parametrize(
    "layer",
    [
        InvertedDropout(0),
        GaussianDropout(0),
        VariationalDropout(0),
        DropConnect(nn.Linear(3, 3), 0),
        add_dropout(nn.Linear(3, 3), 0, where=nn.Linear),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_at_rate_0_training_is_eval(layer):
    x = torch.randn(2, 4, 3)
    assert torch.equal(layer.train()(x), layer.eval()(x))


@pytest.mark.parametrize("layer", [InvertedDropout(1), VariationalDropout(1)], ids=lambda layer: type(layer).__name__)
def test_at_rate_1_everything_is_zero_and_so_is_the_gradient(layer):
    x = torch.randn(2, 4, 3, requires_grad=True)
    out = layer.train()(x)
    assert torch.equal(out, torch.zeros_like(x))
    out.sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_a_rate_of_0_cannot_be_learned():
    with pytest.raises(InputError, match=r"in \(0, 1\), got 0;"):
        ConcreteDropout(nn.Linear(2, 2), p=0)


@pytest.mark.parametrize("layer", [GaussianDropout, lambda p: ConcreteDropout(nn.Linear(2, 2), p=p)])
def test_where_the_variance_is_infinite_the_rate_is_refused(layer):
    with pytest.raises(InputError, match=r"0, 1\), got 1"):
        layer(1)


def test_texts_say_the_rate():
    assert repr(InvertedDropout(0.25)) == "InvertedDropout(p=0.25)"
    assert repr(GaussianDropout(0.25)) == "GaussianDropout(p=0.25)"
    assert repr(VariationalDropout(0.25, batch_first=False)) == "VariationalDropout(p=0.25, batch_first=False)"
    assert "p=0.25" in repr(DropConnect(nn.Linear(2, 2), 0.25))
    assert "p=0.25, temperature=0.1, channels=False" in repr(ConcreteDropout(nn.Linear(2, 2), p=0.25))
    text = repr(VariationalRNN(nn.LSTM(2, 3), p_input=0.25, p_hidden=0.5))
    assert text == "VariationalRNN(LSTM, 2, 3, num_layers=1, p_input=0.25, p_hidden=0.5, p_between=0)"
