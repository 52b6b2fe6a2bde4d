"""The search finds the highest summit of the likelihood, and the bounds hold it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from mcdrop import InputError
from mcdrop.precision import SquaredErrors, likeliest_tau, predictive_log_likelihood, tau_bracket


def curve_of(samples, y):
    return lambda taus: np.array([predictive_log_likelihood(samples, y, tau=float(tau)).mean() for tau in taus])


def bracket_of(samples, y, parts=1):
    """Return the bounds, from parts that follow one another along the points."""
    cut = zip(np.array_split(samples, parts, axis=1), np.array_split(y, parts), strict=True)
    return tau_bracket([SquaredErrors.of(torch.from_numpy(a), torch.from_numpy(b)) for a, b in cut])


def fitted(samples, y):
    lower, upper = bracket_of(samples, y)
    return likeliest_tau(curve_of(samples, y), lower=lower, upper=upper)


@st.composite
def passes_and_truth(draw):
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    points, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    spread, noise = draw(st.sampled_from([0.0, 0.1, 1.0, 5.0])), draw(st.sampled_from([0.01, 0.3, 1.0, 20.0]))
    unit = draw(st.sampled_from([1e-6, 1.0, 1e5]))
    samples = spread * rng.standard_normal((draw(st.integers(1, 12)), points, outputs))
    return unit * samples, unit * noise * rng.standard_normal((points, outputs))


@given(passes_and_truth())
@settings(max_examples=40, deadline=None)
def test_the_summit_lies_between_the_bounds_and_is_found(case):
    """Against a dense grid that goes a factor of 100 beyond the bounds, polished by scipy."""
    samples, y = case
    lower, upper = bracket_of(samples, y)
    assert 0 < lower <= upper * (1 + 1e-12)
    best = fitted(samples, y)
    curve = curve_of(samples, y)
    logs = np.linspace(np.log(lower) - 4.6, np.log(upper) + 4.6, 400)
    values = curve(np.exp(logs))
    top = values.argmax()
    polished = minimize_scalar(
        lambda u: -curve([np.exp(u)])[0], bounds=logs[[top - 1, top + 1]], method="bounded", options={"xatol": 1e-9}
    )
    assert lower * (1 - 1e-3) <= np.exp(polished.x) <= upper * (1 + 1e-3)
    assert best.log_likelihood == pytest.approx(-polished.fun, abs=1e-6)
    assert best.tau == pytest.approx(np.exp(polished.x), rel=5e-4) or values[top] - best.log_likelihood < 1e-9


def test_one_pass_gives_the_mean_squared_error():
    rng = np.random.default_rng(0)
    samples, y = rng.standard_normal((1, 50, 3)), rng.standard_normal((50, 3))
    best = fitted(samples, y)
    error = np.mean((samples[0] - y) ** 2)
    assert best.tau == pytest.approx(1 / error, rel=1e-4)
    assert best.noise_std == pytest.approx(np.sqrt(error), rel=1e-4)
    assert best.log_likelihood == pytest.approx(-1.5 * (np.log(2 * np.pi * error) + 1), abs=1e-8)


def test_the_noise_is_told_apart_from_the_passes_spread():
    """Where passes spread as N(0, s^2) and y as N(0, s^2 + 1/tau), tau is what the passes lack."""
    quantiles = norm.ppf((np.arange(500) + 0.5) / 500)
    samples, y = np.repeat(0.5 * quantiles[:, None], 500, axis=1), np.hypot(0.5, 0.3) * quantiles
    assert fitted(samples, y).noise_std == pytest.approx(0.3, rel=0.02)


def test_too_few_random_passes_make_the_noise_look_larger_and_never_smaller():
    """A sharp density needs a pass nearby; where there is none, noise has to make up for it."""
    rng = np.random.default_rng(1)
    y = np.hypot(0.5, 0.3) * norm.ppf((np.arange(300) + 0.5) / 300)
    few, some, many = (fitted(0.5 * rng.standard_normal((passes, 300)), y).noise_std for passes in (3, 30, 1000))
    assert few > some > many > 0.29


def test_bounds_do_not_depend_on_how_the_points_were_cut():
    rng = np.random.default_rng(2)
    samples, y = rng.standard_normal((5, 12, 2)), rng.standard_normal((12, 2))
    errors = (samples - y) ** 2
    expected = 1 / errors.mean(), 1 / (errors.sum(-1).min(0).mean() / 2)
    for parts in (1, 3, 5):
        np.testing.assert_allclose(bracket_of(samples, y, parts), expected)


def test_the_higher_of_two_summits_is_found():
    """In log tau: a broad hill of height 1 at 0 and a narrower one of height 1.05 at 9."""

    def curve(taus):
        u = np.log(taus)
        return np.exp(-((u - 0.1) ** 2) / 8) + 1.05 * np.exp(-((u - 9.0) ** 2) / 0.5)

    assert np.log(likeliest_tau(curve, lower=0.1, upper=1e6).tau) == pytest.approx(9, abs=1e-3)


def test_the_curve_rises_in_tau_and_holds_the_best():
    rng = np.random.default_rng(3)
    samples, y = rng.standard_normal((9, 8)), rng.standard_normal(8)
    calls = []
    curve = curve_of(samples, y)
    lower, upper = bracket_of(samples, y)
    best = likeliest_tau(lambda taus: calls.append(len(taus)) or curve(taus), lower=lower, upper=upper)
    assert len(calls) == 2
    assert (np.diff(best.taus) > 0).all()
    assert best.taus[0] < lower
    assert best.taus[-1] > upper
    np.testing.assert_allclose(best.log_likelihoods, curve(best.taus))
    assert best.log_likelihood >= best.log_likelihoods.max()
    assert best.log_likelihood == pytest.approx(curve([best.tau])[0], abs=1e-9)


@pytest.mark.parametrize("lower", [1e-300, 1.0, 1e300])
def test_extreme_units_are_no_trouble(lower):
    best = likeliest_tau(lambda taus: -(np.log(taus / lower) ** 2), lower=lower, upper=2 * lower)
    assert best.tau == pytest.approx(lower, rel=1e-6)


def test_a_likelihood_without_end_is_refused():
    samples = np.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InputError, match="got at every point a pass that equals y"):
        bracket_of(samples, np.array([1.0, 1.0]))
    lower, upper = bracket_of(samples, np.array([1.0, 0.5]))  # one point missed is enough
    assert np.isfinite([lower, upper]).all()
