"""Scores of a regression against their formulas, closed forms and limits; silence of the library behind them."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from mcdrop import InputError, scores

RNG = np.random.default_rng(0)
Y, MEAN = RNG.normal(size=(2, 40, 3))
STD = RNG.uniform(0.2, 3.0, size=(40, 3))
LOWER, UPPER = MEAN - 1.96 * STD, MEAN + 1.96 * STD


def test_squared_error_is_the_square_of_the_error():
    np.testing.assert_allclose(scores.squared_error(Y, MEAN), (Y - MEAN) ** 2)
    assert scores.squared_error([1.0, 2.0], [1.0, 5.0]).tolist() == [0.0, 9.0]


def test_nll_is_minus_the_log_density_of_scipy():
    np.testing.assert_allclose(scores.gaussian_nll(Y, MEAN, std=STD), -stats.norm.logpdf(Y, MEAN, STD))


def test_nll_is_least_where_the_spread_is_the_error():
    spreads = np.linspace(0.5, 3.5, 301)
    nll = scores.gaussian_nll(np.full(301, 2.0), np.zeros(301), std=spreads)
    assert spreads[nll.argmin()] == pytest.approx(2.0)


def test_crps_of_a_gaussian_is_the_integral_that_defines_it():
    for y, mean, std in ((0.3, 0.0, 1.0), (-2.0, 1.0, 0.5), (5.0, 4.9, 3.0)):
        left = integrate.quad(lambda x, m=mean, s=std: stats.norm.cdf(x, m, s) ** 2, -np.inf, y)[0]
        right = integrate.quad(lambda x, m=mean, s=std: stats.norm.sf(x, m, s) ** 2, y, np.inf)[0]
        assert scores.crps_gaussian([y], [mean], std=std)[0] == pytest.approx(left + right, rel=1e-6)


def test_crps_at_the_mean_of_a_standard_gaussian():
    assert scores.crps_gaussian([0.0], [0.0], std=1.0) == pytest.approx((math.sqrt(2) - 1) / math.sqrt(math.pi))


def test_crps_without_spread_is_the_absolute_error():
    np.testing.assert_allclose(scores.crps_gaussian(Y, MEAN, std=1e-12), np.abs(Y - MEAN), atol=1e-11)
    np.testing.assert_allclose(scores.crps_samples(Y, MEAN[None]), np.abs(Y - MEAN))


def test_crps_keeps_the_units_of_y():
    np.testing.assert_allclose(
        scores.crps_gaussian(10 * Y, 10 * MEAN, std=10 * STD), 10 * scores.crps_gaussian(Y, MEAN, std=STD)
    )


@pytest.mark.parametrize(("estimator", "pairs"), [("empirical", 7 * 7), ("fair", 7 * 6)])
def test_crps_of_samples_is_the_sum_over_pairs_that_defines_it(estimator, pairs):
    samples = np.random.default_rng(1).normal(size=(7, 40, 3))
    apart = np.abs(samples[:, None] - samples[None]).sum(axis=(0, 1))
    expected = np.abs(samples - Y).mean(axis=0) - apart / pairs / 2
    np.testing.assert_allclose(scores.crps_samples(Y, samples, estimator=estimator), expected, rtol=1e-10)


def test_crps_of_many_samples_tends_to_that_of_their_distribution_and_the_fair_one_has_no_bias():
    y, rng = np.array([0.7]), np.random.default_rng(2)
    exact = scores.crps_gaussian(y, [0.0], std=1.0)
    assert scores.crps_samples(y, rng.normal(size=(200_000, 1))) == pytest.approx(exact, abs=0.005)
    repeats = 20_000
    many = rng.normal(size=(3, repeats))
    fair = scores.crps_samples(np.full(repeats, 0.7), many, estimator="fair")
    assert fair.mean() == pytest.approx(exact[0], abs=4 * fair.std() / math.sqrt(repeats))
    empirical = scores.crps_samples(np.full(repeats, 0.7), many)
    bias = 1 / math.sqrt(math.pi) / 3  # E|X - X'| / (2 T) of a standard Gaussian
    assert empirical.mean() - exact[0] == pytest.approx(bias, abs=4 * empirical.std() / math.sqrt(repeats))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_interval_score_is_width_and_what_lies_outside(level):
    alpha = 1 - level
    outside = np.maximum(LOWER - Y, 0) + np.maximum(Y - UPPER, 0)
    got = scores.interval_score(Y, lower=LOWER, upper=UPPER, level=level)
    np.testing.assert_allclose(got, UPPER - LOWER + 2 / alpha * outside)


def test_interval_score_of_a_miss_by_one_at_95_percent_costs_40():
    assert scores.interval_score([3.0], lower=[0.0], upper=[2.0]) == pytest.approx(2 + 40)
    assert scores.interval_score([1.0], lower=[0.0], upper=[2.0]) == pytest.approx(2)


def test_the_central_interval_of_the_true_distribution_scores_best():
    y, wide = np.random.default_rng(3).normal(size=20_000), np.linspace(1.0, 3.0, 41)
    mean = [scores.interval_score(y, lower=np.full_like(y, -w), upper=np.full_like(y, w)).mean() for w in wide]
    assert wide[int(np.argmin(mean))] == pytest.approx(1.96, abs=0.1)


def test_the_ends_of_an_interval_belong_to_it():
    assert scores.covered([0.0, 1.0, 1.1], lower=[0.0, 0.0, 0.0], upper=[1.0, 1.0, 1.0]).tolist() == [True, True, False]


def test_a_correct_model_covers_95_percent_within_the_binomial_error():
    rng = np.random.default_rng(4)
    count = 20_000
    mean, std = rng.normal(size=count), rng.uniform(0.1, 5, size=count)
    y = rng.normal(mean, std)
    z = stats.norm.ppf(0.975)
    inside = scores.covered(y, lower=mean - z * std, upper=mean + z * std)
    assert abs(inside.mean() - 0.95) < 3 * math.sqrt(0.95 * 0.05 / count)


def test_pit_is_the_distribution_function_and_uniform_for_a_correct_model():
    np.testing.assert_allclose(scores.pit(Y, MEAN, std=STD), stats.norm.cdf(Y, MEAN, STD))
    mean = np.random.default_rng(5).normal(size=5000)
    y = np.random.default_rng(6).normal(mean, 2.0)
    assert stats.kstest(scores.pit(y, mean, std=2.0), "uniform").pvalue > 0.01


@pytest.mark.parametrize("shape", [(), (1,), (4,), (4, 1), (4, 2), (2, 1, 3)])
def test_every_score_has_the_shape_of_y(shape):
    y = np.full(shape, 0.3)
    for values in (
        scores.squared_error(y, y),
        scores.gaussian_nll(y, y, std=1.0),
        scores.crps_gaussian(y, y, std=1.0),
        scores.pit(y, y, std=y),
        scores.interval_score(y, lower=y, upper=y),
        scores.covered(y, lower=y, upper=y),
        scores.crps_samples(y, np.stack([y, y + 1])),
        scores.crps_samples(y, np.stack([y, y + 1]), estimator="fair"),
    ):
        assert values.shape == shape


def test_tensors_and_half_precision_are_numbers_too():
    y = torch.tensor([0.0, 1.0])
    assert scores.squared_error(y, y.half()).dtype == np.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scores.squared_error(np.zeros(3), np.zeros((3, 1))), r"shape of y, \(3,\), got \(3, 1\)"),
        (lambda: scores.squared_error(np.zeros(3), np.zeros(4)), r"shape of y, \(3,\), got \(4,\)"),
        (lambda: scores.squared_error([0.0, math.nan], [0.0, 0.0]), "y must be finite, got 1 NaN"),
        (lambda: scores.squared_error([0.0], [math.inf]), "mean must be finite"),
        (lambda: scores.squared_error([], []), "at least one value"),
        (lambda: scores.squared_error(["a"], [0.0]), "y must be an array of real numbers, got list"),
        (lambda: scores.squared_error([1j], [0.0]), "y must be an array of real numbers"),
        (lambda: scores.squared_error(torch.ones(1, requires_grad=True), [0.0]), r"got Tensor .*; pass y\.detach"),
        (lambda: scores.squared_error(["a"], [0.0]), r"convert it with numpy\.asarray\(y, dtype=float\)"),
        (lambda: scores.squared_error(np.array([1j]), [0.0]), "score the real and the imaginary part"),
        (
            lambda: scores.squared_error([1e200], [0.0]),
            r"y must lie within 1e\+100 of 0, got 1e\+200 to 1e\+200; rescale",
        ),
        (lambda: scores.crps_samples([0.0], [[1e308], [-1e308]]), r"samples must lie within 1e\+100 of 0"),
        (lambda: scores.interval_score([0.0], lower=[-1e308], upper=[1e308]), r"lower must lie within 1e\+100 of 0"),
        (lambda: scores.gaussian_nll([0.0], [0.0], std=0.0), r"std must be > 0 everywhere, got 0"),
        (lambda: scores.crps_gaussian([0.0, 1.0], [0.0, 1.0], std=[1.0, -1.0]), "1 of 2 value"),
        (lambda: scores.pit([0.0], [0.0], std=math.nan), "std must be finite"),
        (lambda: scores.gaussian_nll([1.0], [0.0], std=1e-300), "within 1e150 standard deviations"),
        (lambda: scores.gaussian_nll([1.0, 2.0], [0.0, 0.0], std=[1.0]), "std must have the shape of y"),
        (lambda: scores.crps_samples([0.0], [[1.0, 2.0]]), r"samples must have shape \(T, ...\)"),
        (lambda: scores.crps_samples([0.0], [0.0]), r"samples must have shape \(T, ...\)"),
        (lambda: scores.crps_samples([0.0], [[1.0]], estimator="fair"), "at least 2 samples, got 1"),
        (lambda: scores.crps_samples([0.0], [[1.0]], estimator="pwm"), "estimator must be one of 'empirical', 'fair'"),
        (lambda: scores.interval_score([0.0], lower=[1.0], upper=[0.0]), "lower must not exceed upper, got 1 of 1"),
        (lambda: scores.interval_score([0.0], lower=[0.0], upper=[1.0], level=95), "strictly between 0 and 1, got 95"),
        (lambda: scores.covered([0.0], lower=[0.0], upper=[math.nan]), "upper must be finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_library_behind_the_scores_is_silent(capfd):
    """Its warnings would be errors here already."""
    scores.crps_gaussian([0.0], [0.0], std=1.0)
    scores.crps_samples([0.0], [[0.0], [1.0]])
    scores.interval_score([0.0], lower=[0.0], upper=[1.0])
    assert capfd.readouterr() == ("", "")
