"""A monitor sees the net at every validation, and nothing that it does is felt by the training."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from mcdrop import MCDropout
from mcdrop.errors import InputError
from mcdrop.networks import co2_mlp
from mcdrop.training import fit

X = torch.linspace(-1, 1, 20)[:, None]
Y = X**2


def train(monitor, *, net=None, **options):
    net = net or co2_mlp(hidden=(8, 8), p=0.3, seed=0)
    return fit(net, X, Y, **{"loss": "mse", "steps": 10, "batch_size": 8, "monitor": monitor} | options), net


def weight_of(net):
    return {"first": float(net.input.weight[0, 0].detach())}


def test_its_numbers_stand_beside_the_validations():
    history, net = train(weight_of, validation=(X, Y), validate_every=4)
    assert history.validation_step.tolist() == [4, 8, 10]
    assert history.monitored.keys() == {"first"}
    assert history.monitored["first"].shape == history.validation_loss.shape == (3,)
    assert history.monitored["first"][-1] == net.input.weight[0, 0].item()


def test_without_validation_data_it_is_called_at_the_same_steps():
    history, _ = train(weight_of)  # 3 steps an epoch
    assert history.validation_step.tolist() == [3, 6, 9, 10]
    assert history.monitored["first"].shape == (4,)
    assert history.validation_loss.size == history.validation_accuracy.size == 0
    assert train(None)[0].monitored == {}


def test_it_gets_the_net_in_eval_mode_without_gradients_and_training_goes_on():
    seen, modes = [], []

    class Spy(nn.Linear):
        def forward(self, x):
            modes.append(self.training)
            return super().forward(x)

    def monitor(net):
        seen.append((net.training, torch.is_grad_enabled()))
        return {}

    train(monitor, net=Spy(1, 1), steps=4, validate_every=2)
    assert seen == [(False, False)] * 2
    assert modes == [False] + [True] * 4  # the first is the look at the shapes


def draw(net):
    torch.manual_seed(torch.randint(100, ()).item())
    torch.rand(7)
    np.random.rand(3)  # noqa: NPY002 - that is the point
    random.random()
    net.train()
    net(X)
    return {"a": 1}


def test_what_it_draws_does_not_move_the_noise():
    runs = [train(monitor, validate_every=1) for monitor in (None, draw, lambda net: {})]
    numpy_state, state = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    train(draw)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert random.getstate() == state
    for history, net in runs[1:]:
        assert np.array_equal(history.loss, runs[0][0].loss)
        assert torch.equal(net.final.weight, runs[0][1].final.weight)


def test_it_may_predict_with_dropout():
    def monitor(net):
        return {"std": MCDropout(net, task="regression").predict(X, passes=5, seed=0).std.mean()}

    history, _ = train(monitor, steps=4, validate_every=2)
    assert (history.monitored["std"] > 0).all()


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([3.0], "monitor must return numbers by name, got 3.0"),
        ([None], "monitor must return numbers by name, got None"),
        ([{"a": "much"}], "monitor must return numbers by name"),
        ([{"a": torch.ones(2)}], "monitor must return numbers by name"),
        ([{1: 2.0}], "monitor must name its numbers by texts, got 1"),
        ([{"a": 1.0}, {"b": 1.0}], "monitor must return the same names every time, a, got b; return NaN"),
        ([{"a": 1.0}, {}], "the same names every time, a, got none"),
        ([{}, {"a": 1.0}], "the same names every time, none, got a"),
    ],
)
def test_anything_but_the_same_names_with_numbers_is_refused(results, message):
    given = iter(results)
    with pytest.raises(InputError, match=message):
        train(lambda net: next(given), validate_every=2)


def test_names_may_come_in_any_order_and_numbers_may_be_nan():
    given = iter([{"a": 1, "b": np.float32(2)}, {"b": torch.tensor(4), "a": float("nan")}])
    history, _ = train(lambda net: next(given), steps=2, validate_every=1)
    assert list(history.monitored) == ["a", "b"]
    np.testing.assert_array_equal(history.monitored["a"], [1, np.nan])
    np.testing.assert_array_equal(history.monitored["b"], [2, 4])
