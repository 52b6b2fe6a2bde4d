"""Laws of `fit`: known solutions are reached, seeds reproduce, rates and generators are put back, failures speak."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from mcdrop.errors import InputError, NetError, TrainingError
from mcdrop.networks import co2_mlp, mlp
from mcdrop.training import History, fit


def line(n=50):
    x = torch.linspace(-1, 1, n)[:, None]
    return x, 2 * x + 1 + 0.1 * torch.sin(37 * x)


def small_net(p=0.5, seed=0):
    return co2_mlp(hidden=(16, 16), p=p, seed=seed)


def weights(net):
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


class Spy(nn.Module):
    """Passes its input on; keeps the rates of a net's dropout at every training step, then may fail."""

    def __init__(self, net, error=None, after=0):
        super().__init__()
        self.net, self.error, self.after, self.rates = net, error, after, []

    def forward(self, x):
        if self.training:
            if self.error is not None and len(self.rates) == self.after:
                raise self.error
            self.rates.append(self.net.dropout1.p)
        return self.net(x)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_linear_net_reaches_the_least_squares_solution(optimizer, schedule):
    x, y = line()
    net = nn.Linear(1, 1)
    fit(net, x, y, loss="mse", steps=400, lr=0.1, optimizer=optimizer, schedule=schedule)
    slope, offset = np.polyfit(x[:, 0].numpy(), y[:, 0].numpy(), 1)
    assert net.weight.item() == pytest.approx(slope, abs=1e-3)
    assert net.bias.item() == pytest.approx(offset, abs=1e-3)


def test_weight_decay_reaches_the_ridge_solution():
    x, y = line()
    net, penalty = nn.Linear(1, 1, bias=False), 0.5
    fit(net, x, y, loss="mse", steps=300, lr=0.1, optimizer="sgd", weight_decay=penalty)
    # d/dw [mean (w x - y)^2 + penalty/2 w^2] = 0
    expected = (x * y).mean() / ((x * x).mean() + penalty / 2)
    assert net.weight.item() == pytest.approx(expected.item(), rel=1e-4)


def test_minibatches_cover_every_row_once_an_epoch():
    seen = []

    class Recorder(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append(x[:, 0].tolist())
            return super().forward(x)

    rows = torch.arange(10.0)
    fit(Recorder(1, 1), rows[:, None], rows, loss="mse", epochs=3, batch_size=4, lr=1e-6)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [[row for batch in seen[i : i + 3] for row in batch] for i in (0, 3, 6)]
    assert all(sorted(epoch) == rows.tolist() for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_labels_are_learned_and_scored():
    x = torch.cat([torch.full((20, 4), -1.0), torch.full((20, 4), 1.0)])
    labels = np.repeat([0, 1], 20)
    net = mlp(inputs=4, hidden=(8, 8), outputs=2)
    history = fit(net, x, labels, loss="cross_entropy", epochs=30, batch_size=10, lr=0.01, validation=(x, labels))
    assert history.validation_step.tolist() == list(range(4, 121, 4))
    assert history.validation_accuracy[-1] == 1.0
    assert history.validation_loss[-1] < history.validation_loss[0]
    assert (history.loss.shape, history.lr.shape) == ((120,), (120,))


def test_history_is_frozen_and_the_validation_loss_is_the_eval_nets():
    x, y = line()
    net = small_net()
    history = fit(net, x, y, loss="mse", steps=7, validation=(x, y), validate_every=3)
    assert history.validation_step.tolist() == [3, 6, 7]
    assert history.validation_loss[-1] == pytest.approx((net(x) - y).square().mean().item(), rel=1e-5)
    assert history.validation_accuracy.size == 0
    assert history.seconds > 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        history.seconds = 0.0


def test_one_seed_gives_one_run_and_nothing_global_moves():
    x, y = line()
    before = torch.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        net = small_net()
        runs.append((fit(net, x, y, loss="mse", steps=20, batch_size=8, seed=seed).loss, weights(net)))
        torch.set_rng_state(before)
        torch.rand(len(runs))
        before = torch.get_rng_state()
    assert np.array_equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_global_generators_are_unmoved():
    x, y = line()
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - read, not used
    fit(small_net(), x, y, loss="mse", steps=3, batch_size=8)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002 - read, not used


def test_warmup_ramps_every_rate_from_zero_and_puts_it_back():
    x, y = line()
    spy = Spy(small_net(p=0.3))
    fit(spy, x, y, loss="mse", steps=10, warmup=0.4)
    assert spy.rates == pytest.approx([0.075, 0.15, 0.225] + [0.3] * 7)
    assert spy.net.dropout1.p == 0.3
    assert not spy.training


def test_without_warmup_rates_stay():
    x, y = line()
    spy = Spy(small_net(p=0.3))
    fit(spy, x, y, loss="mse", steps=3)
    assert spy.rates == [0.3] * 3


def test_schedules_have_their_shapes():
    x, y = line()

    def rates(schedule, steps=100):
        return fit(nn.Linear(1, 1), x, y, loss="mse", steps=steps, lr=0.5, schedule=schedule).lr

    assert set(rates("constant")) == {0.5}
    assert np.all(np.diff(rates("cosine")) < 0) and rates("cosine")[0] == 0.5
    cycle = rates("one-cycle")
    assert cycle[0] == pytest.approx(0.5 / 25)
    assert (cycle.argmax(), cycle.max()) == (30, 0.5)
    assert cycle[-1] < 1e-3
    assert len(rates("one-cycle", steps=1)) == 1


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_rates_mode_and_generator_are_put_back_after_an_exception(error):
    x, y = line()
    spy = Spy(small_net(p=0.3), error, after=2)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        fit(spy, x, y, loss="mse", steps=10, warmup=1.0)
    assert spy.rates[-1] < 0.3
    assert spy.net.dropout1.p == 0.3
    assert not any(module.training for module in spy.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_an_interrupted_run_says_how_far_it_came():
    x, y = line()
    with pytest.raises(TrainingError, match="interrupted after 2 of 10 steps") as caught:
        fit(Spy(small_net(), KeyboardInterrupt(), after=2), x, y, loss="mse", steps=10)
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)


def test_a_diverging_run_ends_in_advice():
    x, y = line()
    with pytest.raises(TrainingError, match=r"diverged.*at step \d+ of 200 with lr=1000; lower lr"):
        fit(nn.Linear(1, 1), x, y, loss="mse", steps=200, lr=1e3, optimizer="sgd")


def test_weights_that_overflow_at_the_last_step_are_noticed():
    x, y = line()
    with pytest.raises(TrainingError, match="at step 1 of 1"):
        fit(nn.Linear(1, 1), x * 1e10, y * 1e10, loss="mse", steps=1, lr=1e38, optimizer="sgd")


def test_a_function_may_be_the_loss():
    x, y = line()
    net = nn.Linear(1, 1)
    history = fit(net, x, y, loss=lambda out, target: (out - target).abs().mean(), steps=200, lr=0.05)
    assert history.loss[-1] < 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arrays_are_cast_to_the_nets_dtype(dtype):
    net = nn.Linear(1, 1).to(dtype)
    x = np.linspace(-1, 1, 20)[:, None]
    x.flags.writeable = False
    fit(net, x, 3 * x[:, 0], loss="mse", steps=300, lr=0.1, schedule="cosine")
    assert net.weight.item() == pytest.approx(3.0, abs=1e-3)


def test_flat_outputs_meet_flat_targets():
    net = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
    assert isinstance(fit(net, torch.ones(5, 1), torch.ones(5), loss="mse", steps=2), History)


def test_frozen_weights_stay():
    x, y = line()
    net = small_net()
    net.input.requires_grad_(False)
    before = net.input.weight.clone()
    fit(net, x, y, loss="mse", steps=3)
    assert torch.equal(net.input.weight, before)


def test_progress_is_shown_on_stderr_only_when_asked(capsys):
    x, y = line()
    fit(nn.Linear(1, 1), x, y, loss="mse", steps=3)
    assert capsys.readouterr() == ("", "")
    fit(nn.Linear(1, 1), x, y, loss="mse", steps=3, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "Training" in err


X, Y = line(6)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X, Y[:5], {}, "got 6 and 5"),
        (X[:0], Y[:0], {}, "x must have at least one row"),
        (X * math.nan, Y, {}, "x must be finite"),
        (X, Y * math.inf, {}, "y must be finite"),
        (X, [["a"]] * 6, {}, "y must be a tensor or array of numbers"),
        (X, torch.ones(6, 2), {}, "y must have the shape of the outputs"),
        (X, Y, {"loss": "mae"}, "loss must be one of mse, cross_entropy"),
        (X, Y, {"loss": "cross_entropy"}, "integer labels"),
        (X, torch.full((6,), -1), {"loss": "cross_entropy"}, "integer labels"),
        (X, torch.ones(6, dtype=torch.long), {"loss": "cross_entropy"}, "one output per class"),
        (X, Y, {"steps": None}, "either steps or epochs"),
        (X, Y, {"epochs": 2}, "either steps or epochs"),
        (X, Y, {"steps": 0}, "steps must be a positive integer"),
        (X, Y, {"steps": 2.5}, "steps must be a positive integer"),
        (X, Y, {"batch_size": 0}, "batch_size must be a positive integer"),
        (X, Y, {"lr": 0.0}, "lr must be a positive number"),
        (X, Y, {"lr": math.nan}, "lr must be a positive number"),
        (X, Y, {"weight_decay": -1.0}, "weight_decay must be"),
        (X, Y, {"schedule": "step"}, "schedule must be one of"),
        (X, Y, {"optimizer": "lbfgs"}, "optimizer must be one of"),
        (X, Y, {"warmup": 1.5}, "warmup must be a share"),
        (X, Y, {"seed": -1}, "seed must be an integer"),
        (X, Y, {"validation": (X, Y[:5])}, "validation x and validation y"),
        (X, Y, {"validation": (X, Y), "validate_every": 0}, "validate_every must be"),
    ],
)
def test_bad_input_is_refused_before_training(x, y, options, message):
    net = nn.Linear(1, 1)
    before = weights(net)
    with pytest.raises(InputError, match=message):
        fit(net, x, y, **({"loss": "mse", "steps": 5} | options))
    assert torch.equal(weights(net), before)


def test_a_net_without_trainable_weights_is_refused():
    with pytest.raises(InputError, match="net must have weights to train"):
        fit(nn.Tanh(), X, Y, loss="mse", steps=5)


def test_a_net_that_refuses_x_is_named():
    with pytest.raises(NetError, match=r"here of shape \(2, 3\)"):
        fit(nn.Linear(1, 1), torch.ones(6, 3), Y, loss="mse", steps=5)
