"""The streamed log-likelihood is that of the mixture of all passes, however they are cut, at any precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from mcdrop import InputError
from mcdrop.precision import LogLikelihood, SquaredErrors, predictive_log_likelihood

TAUS = np.array([1e-6, 0.3, 1.0, 40.0, 1e9])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def brute(samples, y, tau):
    """Return the log of the mean Gaussian density, by scipy, one point at a time."""
    passes, points = samples.reshape(len(samples), len(y), -1), y.reshape(len(y), -1)
    covariance = np.eye(points.shape[1]) / tau
    log_densities = [
        [multivariate_normal.logpdf(points[n], passes[t, n], covariance) for t in range(len(passes))]
        for n in range(len(points))
    ]
    return logsumexp(log_densities, axis=1) - np.log(len(passes))


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 3), (6, 2, 2)])
@pytest.mark.parametrize("tau", TAUS)
def test_it_is_the_log_density_of_an_even_mixture_of_gaussians(shape, tau):
    samples, y = draw(5, *shape), draw(*shape, seed=1)
    ours = predictive_log_likelihood(samples, y, tau=tau)
    assert ours.shape == (6,)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, brute(samples, y, tau), rtol=1e-10)


def test_one_pass_is_a_gaussian():
    mean, y = draw(7), draw(7, seed=1)
    np.testing.assert_allclose(predictive_log_likelihood(mean[None], y, tau=4.0), norm.logpdf(y, mean, 0.5))


def test_equal_passes_count_as_one():
    mean, y = draw(7, 2), draw(7, 2, seed=1)
    many = predictive_log_likelihood(np.stack([mean] * 9), y, tau=2.0)
    np.testing.assert_allclose(many, predictive_log_likelihood(mean[None], y, tau=2.0), rtol=1e-12)


def test_the_density_adds_up_to_one_over_y():
    samples, grid = draw(4), np.linspace(-12, 12, 4001)
    passes = np.repeat(samples[:, None], len(grid), axis=1)
    density = np.exp(predictive_log_likelihood(passes, grid, tau=3.0))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-9)


def test_far_from_every_pass_it_stays_finite():
    """Every density is below the smallest double here; its log is not."""
    value = predictive_log_likelihood([[0.0], [1.0]], [1e6], tau=1.0)
    assert value == pytest.approx(-0.5 * (1e6 - 1) ** 2 - math.log(2) - 0.5 * math.log(2 * math.pi), rel=1e-14)


def test_columns_and_vectors_of_y_are_the_same():
    samples, y = draw(3, 4, 1), draw(4)
    np.testing.assert_array_equal(
        predictive_log_likelihood(samples, y, tau=1.0), predictive_log_likelihood(samples[..., 0], y[:, None], tau=1.0)
    )


def test_units_change_the_density_by_their_jacobian():
    samples, y = draw(3, 4, 2), draw(4, 2)
    scaled = predictive_log_likelihood(10 * samples, 10 * y, tau=0.02)
    np.testing.assert_allclose(scaled, predictive_log_likelihood(samples, y, tau=2.0) - 2 * np.log(10), rtol=1e-12)


# Streaming


def merged(parts, random):
    while len(parts) > 1:
        i = random.randrange(len(parts) - 1)
        a, b = parts[i : i + 2] if random.random() < 0.5 else parts[i : i + 2][::-1]
        parts[i : i + 2] = [a.merge(b)]
    return parts[0]


@given(st.integers(0, 99), st.sets(st.integers(1, 19)), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_any_cut_and_merge_order_gives_the_same(seed, cuts, random):
    samples, y = torch.from_numpy(draw(20, 4, 2, seed=seed)), torch.from_numpy(draw(4, 2, seed=seed + 1))
    pieces = torch.tensor_split(samples, sorted(cuts))
    whole = merged([LogLikelihood.of(part, y, TAUS) for part in pieces], random)
    assert whole.count == 20
    assert whole.value.shape == (len(TAUS), 4)
    for tau, values in zip(TAUS, whole.value.numpy(), strict=True):
        np.testing.assert_allclose(values, predictive_log_likelihood(samples, y, tau=tau), rtol=1e-10)
    errors = merged([SquaredErrors.of(part, y) for part in pieces], random)
    every = (samples - y).square().sum(-1)
    assert (errors.count, errors.outputs) == (20, 2)
    torch.testing.assert_close(errors.total, every.sum(0))
    torch.testing.assert_close(errors.least, every.amin(0))


@given(st.integers(0, 99), st.sets(st.integers(1, 19)), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_labels_have_the_mean_probability_of_their_class(seed, cuts, random):
    logits, labels = torch.from_numpy(5 * draw(20, 4, 3, seed=seed)), torch.tensor([2, 0, 1, 1])
    state = merged([LogLikelihood.of_labels(part, labels) for part in torch.tensor_split(logits, sorted(cuts))], random)
    probs = logits.softmax(-1).mean(0)
    torch.testing.assert_close(state.value.exp(), probs[range(4), labels])


def test_labels_of_dense_predictions_are_point_by_point():
    logits, labels = torch.from_numpy(draw(3, 2, 4, 5, 6)), torch.arange(40).reshape(2, 4, 5) % 6
    values = LogLikelihood.of_labels(logits, labels).value
    assert values.shape == (2, 4, 5)
    probs = logits.softmax(-1).mean(0)
    assert values[1, 2, 3].exp().item() == pytest.approx(probs[1, 2, 3, labels[1, 2, 3]].item())


def test_impossible_classes_have_minus_infinity_and_merge():
    logits = torch.tensor([[[0.0, -math.inf]]])
    one = LogLikelihood.of_labels(logits, torch.tensor([1]))
    assert one.merge(one).value.item() == -math.inf


def test_a_single_precision_pass_is_added_up_in_double():
    outputs = torch.full((3, 1), 1e-4, dtype=torch.float32)
    value = LogLikelihood.of(outputs, torch.ones(1).double(), 1.0).value.item()
    assert value == pytest.approx(norm.logpdf(1.0, float(outputs[0, 0])), rel=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_give_nan_and_never_a_number(bad):
    outputs = torch.tensor([[0.0, 0.0], [bad, 0.0]])
    y = torch.zeros(2).double()
    value = LogLikelihood.of(outputs, y, 1.0).merge(LogLikelihood.of(torch.zeros(4, 2), y, 1.0)).value
    assert value.isnan().tolist() == [True, False]
    assert SquaredErrors.of(outputs, y).total.isnan().tolist() == [True, False]


# What is refused


@pytest.mark.parametrize(
    ("samples", "y", "message"),
    [
        (draw(3, 4, 2), draw(4), r"y must have the predictions' shape, \(4, 2\) for these rows, got \(4,\)"),
        (draw(3, 4), draw(5), r"y must have the predictions' shape, \(4,\) .*, got \(5,\)"),
        (draw(3, 4), draw(4, 4), r"y must have the predictions' shape"),
        (draw(3), draw(3), r"samples must hold passes, points and maybe outputs.*got \(3,\)"),
        (draw(0, 3), draw(3), r"samples must hold passes.*got \(0, 3\)"),
        ([[math.nan]], [1.0], "samples must be finite, got NaN or infinity"),
        ([[1.0]], [math.inf], "y must be finite"),
        ([["a"]], [1.0], "samples must be an array of numbers"),
        ([["1"]], [1.0], r"samples must be an array of numbers, .* numpy\.asarray\(samples, dtype=float\)"),
        ([[1.0]], [1j], "y must be an array of numbers, got list: dtype complex128"),
        (torch.ones(1, 1, dtype=torch.complex64), [1.0], "samples must be an array of numbers, got Tensor"),
        ([[1.0]], 1.0, r"y must have the predictions' shape, \(1,\) for these rows, got \(\)"),
        ([[1e200]], [1.0], r"samples must lie within 1e\+100 of 0, got 1e\+200 to 1e\+200; rescale it"),
        ([[1.0]], [-1e200], r"y must lie within 1e\+100 of 0"),
        ([[1.0]], [[1.0], [1.0, 2.0]], "y must be an array of numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(samples, y, message):
    with pytest.raises(InputError, match=message):
        predictive_log_likelihood(samples, y, tau=1.0)


@pytest.mark.parametrize("tau", [0, -1.0, math.nan, None, [1.0]])
def test_tau_must_be_a_positive_number(tau):
    with pytest.raises(InputError, match="tau must be a finite number above 0"):
        predictive_log_likelihood([[1.0]], [1.0], tau=tau)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_must_name_a_class(label):
    with pytest.raises(InputError, match=rf"y must hold class numbers from 0 to 2, got {label}"):
        LogLikelihood.of_labels(torch.zeros(2, 1, 3), torch.tensor([label]))


def test_a_tau_at_which_the_logarithm_overflows_is_refused():
    with pytest.raises(InputError, match=r"tau must fit the units of y, got 1e\+300, .* not finite"):
        predictive_log_likelihood([[1e90]], [0.0], tau=1e300)


def test_the_smallest_tau_has_a_logarithm():
    value = predictive_log_likelihood([[0.0]], [0.0], tau=5e-324)
    assert value == pytest.approx(0.5 * (math.log(5e-324) - math.log(2 * math.pi)))


# Passes that know their own noise


def head(count, points, outputs, seed=0):
    """Return means and log-variances of several passes, shape (T, N, 2, D)."""
    return torch.from_numpy(draw(count, points, 2, outputs, seed=seed))


@pytest.mark.parametrize("cuts", [[], [1], [2, 3, 4]])
@pytest.mark.parametrize("outputs", [1, 3])
def test_noise_of_their_own_makes_a_mixture_of_different_gaussians(cuts, outputs):
    passes, y = 2 * head(5, 6, outputs), draw(6, outputs, seed=1)
    parts = [LogLikelihood.of_gaussians(part, torch.from_numpy(y)) for part in torch.tensor_split(passes, cuts)]
    state = parts[0]
    for part in parts[1:]:
        state = state.merge(part)
    mean, scale = passes[:, :, 0].numpy(), np.exp(0.5 * passes[:, :, 1].numpy())
    expected = logsumexp(norm.logpdf(y, mean, scale).sum(-1), axis=0) - np.log(5)
    np.testing.assert_allclose(state.value.numpy(), expected, rtol=1e-12)


def test_equal_noise_is_what_tau_says():
    passes, y = head(5, 6, 2), torch.from_numpy(draw(6, 2, seed=1))
    passes[:, :, 1] = -math.log(40.0)
    ours = LogLikelihood.of_gaussians(passes, y).value
    torch.testing.assert_close(ours, LogLikelihood.of(passes[:, :, 0], y, 40.0).value)


def test_noise_of_any_size_has_a_likelihood():
    passes = torch.zeros(2, 3, 2, dtype=torch.float64)
    passes[:, :, 1] = torch.tensor([-900.0, 0.0, 900.0])
    values = LogLikelihood.of_gaussians(passes, torch.zeros(3)).value
    torch.testing.assert_close(values, -0.5 * (passes[0, :, 1] + math.log(2 * math.pi)))


@pytest.mark.parametrize("entry", [0, 1])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_passes_that_are_not_finite_have_no_likelihood(entry, bad):
    passes = head(4, 3, 2)
    passes[2, 1, entry, 0] = bad
    values = LogLikelihood.of_gaussians(passes, torch.zeros(3, 2)).value
    assert values.isnan().tolist() == [False, True, False]


def test_truth_in_another_shape_than_the_means_is_refused():
    with pytest.raises(InputError, match=r"y must have the predictions' shape, \(3, 2\) .*, got \(3, 2, 2\)"):
        LogLikelihood.of_gaussians(head(4, 3, 2), torch.zeros(3, 2, 2))
