"""Every convention of loss and penalty trains the same model that its tau names."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from mcdrop import InputError
from mcdrop.precision import tau_from_weight_decay, weight_decay_from_tau

N, Q, D, P, LENGTH, DECAY = 12, 4, 3, 0.3, 0.7, 0.05
GENERATOR = torch.Generator().manual_seed(0)
X, Y, W, MASK = (
    torch.randn(*shape, dtype=torch.float64, generator=GENERATOR) for shape in ((N, Q), (N, D), (D, Q), (N, Q))
)
KEPT = (MASK > 0).double()  # some masks, as 0 and 1


def step(weight, loss, penalty):
    """Return the direction in which torch's own SGD moves the weight."""
    if penalty == "square":
        (loss + DECAY * weight.square().sum()).backward()
        optimizer = torch.optim.SGD([weight], lr=1.0)
    else:
        loss.backward()
        optimizer = torch.optim.SGD([weight], lr=1.0, weight_decay=DECAY)
    before = weight.detach().clone()
    optimizer.step()
    return before - weight.detach()


def training_step(penalty, half, objective, rows=slice(None)):
    weight = nn.Parameter(W.clone())
    loss = objective((X[rows] * KEPT[rows]) @ weight.T, Y[rows])
    return step(weight, loss / 2 if half else loss, penalty)


def posterior_gradient(tau, weight_noise):
    """Return the gradient of -log N(y; f, 1/tau) - E log N(weight * noise; 0, 1/l^2), by autograd."""
    weight = W.clone().requires_grad_()
    outputs = (X * KEPT) @ weight.T
    likelihood = Normal(outputs, tau**-0.5).log_prob(Y).sum()
    prior = Normal(torch.zeros(()).double(), 1 / LENGTH)
    expected = sum(chance * prior.log_prob(weight * noise).sum() for noise, chance in weight_noise)
    (-likelihood - expected).backward()
    return weight.grad


def assert_proportional(a, b):
    assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item() == pytest.approx(1, abs=1e-13)


def mean_over_points(outputs, y):
    """The paper's sum over outputs within a mean over points."""
    return (outputs - y).square().sum(dim=1).mean()


LOSSES = {
    "nn.MSELoss()": (nn.MSELoss(), {"reduction": "mean", "outputs": D}),
    "mean over points": (mean_over_points, {"reduction": "mean", "outputs": 1}),
    "nn.MSELoss(sum)": (nn.MSELoss(reduction="sum"), {"reduction": "sum"}),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("penalty", ["torch", "square"])
def test_training_moves_along_the_gradient_of_the_models_log_posterior(loss, half, penalty):
    """A mask keeps a weight with probability 1 - p and sets it to zero otherwise."""
    objective, convention = LOSSES[loss]
    tau = tau_from_weight_decay(DECAY, p=P, length_scale=LENGTH, points=N, half=half, penalty=penalty, **convention)
    gradient = posterior_gradient(tau, [(1.0, 1 - P), (0.0, P)])
    assert_proportional(training_step(penalty, half, objective), gradient)
    other = posterior_gradient(tau * 1.01, [(1.0, 1 - P), (0.0, P)])
    with pytest.raises(AssertionError):  # another tau is another direction
        assert_proportional(training_step(penalty, half, objective), other)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_mini_batches_do_so_on_average(loss, batch):
    objective, convention = LOSSES[loss]
    steps = [training_step("torch", False, objective, slice(i, i + batch)) for i in range(0, N, batch)]
    tau = tau_from_weight_decay(DECAY, p=P, length_scale=LENGTH, points=N, batch_size=batch, **convention)
    assert_proportional(torch.stack(steps).mean(0), posterior_gradient(tau, [(1.0, 1 - P), (0.0, P)]))


def test_without_dropout_it_is_the_map_estimate():
    tau = tau_from_weight_decay(DECAY, p=0.0, length_scale=LENGTH, points=N, outputs=D)
    assert_proportional(training_step("torch", False, nn.MSELoss()), posterior_gradient(tau, [(1.0, 1.0)]))


def test_torchs_scaled_masks_hold_the_prior_for_a_length_scale_divided_by_the_keep_probability():
    tau = tau_from_weight_decay(DECAY, p=P, length_scale=LENGTH / (1 - P), points=N, outputs=D)
    gradient = posterior_gradient(tau, [(1 / (1 - P), 1 - P), (0.0, P)])
    assert_proportional(training_step("torch", False, nn.MSELoss()), gradient)


def test_adam_with_weight_decay_rests_where_the_posterior_does():
    """At a minimum of the penalized loss both Adam's update and the posterior's gradient vanish."""
    weight = nn.Parameter(W.clone())
    objective = nn.MSELoss()
    optimizer = torch.optim.Adam([weight], lr=0.05, weight_decay=DECAY)
    for _ in range(3000):
        optimizer.zero_grad()
        objective((X * KEPT) @ weight.T, Y).backward()
        optimizer.step()
    tau = tau_from_weight_decay(DECAY, p=P, length_scale=LENGTH, points=N, outputs=D)
    design = X * KEPT
    precision = tau * design.T @ design + (1 - P) * LENGTH**2 * torch.eye(Q).double()
    expected = torch.linalg.solve(precision, tau * design.T @ Y).T
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-7)


def test_the_papers_identity_and_the_published_experiments_decay():
    """Eq. 7, and the regularizer of the authors' Boston housing runs: l = 0.01, p = 0.05, N = 455."""
    tau = tau_from_weight_decay(1e-4, p=0.1, length_scale=0.5, points=100, half=True, penalty="square")
    assert tau == pytest.approx(0.9 * 0.5**2 / (2 * 100 * 1e-4))
    decay = weight_decay_from_tau(0.15, p=0.05, length_scale=1e-2, points=455, half=True, penalty="square")
    assert decay == pytest.approx(6.959706959706961e-07)


def test_a_plain_torch_setup_has_four_times_the_papers_tau():
    about = {"p": 0.2, "length_scale": 0.3, "points": 50}
    plain = tau_from_weight_decay(0.01, **about)
    assert plain == pytest.approx(4 * tau_from_weight_decay(0.01, half=True, penalty="square", **about))


def test_the_number_of_points_cancels_in_a_full_batch_sum():
    about = {"p": 0.2, "length_scale": 0.3, "reduction": "sum"}
    assert tau_from_weight_decay(0.01, points=50, **about) == tau_from_weight_decay(0.01, points=5000, **about)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("penalty", ["torch", "square"])
@pytest.mark.parametrize("half", [True, False])
def test_there_and_back(reduction, penalty, half):
    about = {"p": 0.4, "length_scale": 3.0, "points": 70, "reduction": reduction, "penalty": penalty, "half": half}
    tau = tau_from_weight_decay(0.02, outputs=2, batch_size=7, **about)
    assert weight_decay_from_tau(tau, outputs=2, batch_size=7, **about) == pytest.approx(0.02)


GOOD = {"p": 0.1, "length_scale": 1.0, "points": 10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.0}, r"p must be a dropout rate in \[0, 1\), the probability to drop, got 1\.0"),
        ({"p": -0.1}, "p must be a dropout rate"),
        ({"p": float("nan")}, "p must be a dropout rate .*, got nan"),
        ({"p": "0.1"}, "p must be a dropout rate .*, got '0.1'"),
        ({"half": "False"}, "half must be True or False, .*, got 'False'"),
        ({"half": 1}, "half must be True or False"),
        ({"length_scale": 1e200}, r"must come out between .*, got inf; check weight_decay or tau, and length_scale"),
        ({"length_scale": 1e-200}, r"must come out between .*, got 0; check"),
        ({"length_scale": 10**400}, "length_scale must be a finite number above 0"),
        ({"length_scale": 0}, r"length_scale must be a finite number above 0 \(.*\), got 0"),
        ({"points": 0}, "points must be an integer of at least 1 .*, got 0"),
        ({"points": 10.5}, "points must be an integer"),
        ({"outputs": 0}, "outputs must be an integer of at least 1"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"batch_size": 11}, "batch_size must be at most points=10, got 11"),
        ({"reduction": "none"}, "reduction must be one of 'mean', 'sum', got 'none'"),
        ({"penalty": "l2"}, "penalty must be one of 'torch', 'square', got 'l2'"),
    ],
)
@pytest.mark.parametrize("convert", [tau_from_weight_decay, weight_decay_from_tau])
def test_bad_arguments_are_refused(convert, options, message):
    with pytest.raises(InputError, match=message):
        convert(0.1, **(GOOD | options))


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), None, "1", True])
def test_what_is_no_positive_number_is_refused(value):
    with pytest.raises(InputError, match=r"weight_decay must be a finite number above 0 \(without a penalty tau"):
        tau_from_weight_decay(value, **GOOD)
    with pytest.raises(InputError, match="tau must be a finite number above 0"):
        weight_decay_from_tau(value, **GOOD)


@pytest.mark.parametrize("value", [5e-324, 1e-320])
def test_a_penalty_so_small_that_tau_is_infinite_is_refused(value):
    with pytest.raises(InputError, match=r"tau must come out between .*, got inf"):
        tau_from_weight_decay(value, p=0.0, length_scale=100.0, points=1)


def test_numbers_of_numpy_give_a_plain_float():
    tau = tau_from_weight_decay(np.float32(0.1), p=np.float32(0.25), length_scale=np.float32(2.0), points=np.int64(10))
    assert type(tau) is float
    assert tau == pytest.approx(tau_from_weight_decay(0.1, p=0.25, length_scale=2.0, points=10), rel=1e-7)
    assert type(weight_decay_from_tau(np.float32(0.1), **GOOD)) is float
