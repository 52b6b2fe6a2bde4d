"""The Gaussian process equals its closed form, finds the best hyperparameters, and refuses what makes no sense."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import inv
from scipy.optimize import minimize
from scipy.stats import halfcauchy

import mcdrop
from mcdrop import InputError
from mcdrop.baselines import GPRegressor
from mcdrop.baselines.covariance import make_covariance
from mcdrop.baselines.gp_posterior import Posterior
from mcdrop.baselines.pymc_import import import_pymc
from mcdrop.datasets import load_co2


def covariance(x1, x2, lengthscale, amplitude):
    return amplitude**2 * np.exp(-0.5 * ((x1[:, None] - x2[None]) ** 2).sum(axis=-1) / lengthscale**2)


def log_posterior(x, y, lengthscale, amplitude, noise):
    """The density of the logarithms: that of the hyperparameters times the hyperparameters."""
    full = covariance(x, x, lengthscale, amplitude) + noise**2 * np.eye(len(x))
    likelihood = -0.5 * (y @ np.linalg.solve(full, y) + np.linalg.slogdet(full)[1] + len(y) * np.log(2 * np.pi))
    prior = sum(
        halfcauchy.logpdf(v, scale=s) + np.log(v) for v, s in ((lengthscale, 0.05), (amplitude, 1), (noise, 0.1))
    )
    return likelihood + prior


def draw(seed, n=60, lengthscale=0.3, amplitude=1.0, noise=0.2, columns=1):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.7, 1.7, size=(n, columns))
    full = covariance(x, x, lengthscale, amplitude) + noise**2 * np.eye(n)
    return x, np.linalg.cholesky(full) @ rng.normal(size=n)


@pytest.fixture(scope="module")
def data():
    return draw(0)


@pytest.fixture(scope="module")
def fitted(data):
    return GPRegressor().fit(*data)


@pytest.fixture(scope="module")
def co2():
    record = load_co2()
    return record.x.reshape(-1, 1), record.y.reshape(-1)


@pytest.fixture(scope="module")
def fitted_co2(co2):
    return GPRegressor().fit(*co2)


# --- the closed form, given the hyperparameters -----------------------------------------------------


@pytest.mark.parametrize("columns", [1, 3])
def test_prediction_equals_explicit_inverse(columns):
    x, y = draw(1, columns=columns, lengthscale=0.8)
    gp = GPRegressor().fit(x, y)
    theta = gp.hyperparameters_
    grid = np.random.default_rng(2).uniform(-3, 3, size=(101, columns))
    kernel = (theta["lengthscale"], theta["amplitude"])
    precision = inv(covariance(x, x, *kernel) + theta["noise"] ** 2 * np.eye(len(x)))
    cross = covariance(grid, x, *kernel)
    posterior = covariance(grid, grid, *kernel) - cross @ precision @ cross.T
    prediction = gp.predict(grid)
    np.testing.assert_allclose(prediction.mean, cross @ precision @ y, atol=1e-6)
    np.testing.assert_allclose(prediction.std, np.sqrt(np.diag(posterior)), atol=1e-6)
    np.testing.assert_allclose(prediction.total_std(), np.sqrt(np.diag(posterior) + theta["noise"] ** 2), atol=1e-6)
    assert prediction.passes is None
    assert prediction.noise_std == theta["noise"]


def test_far_from_data_the_prior_returns(fitted):
    prediction = fitted.predict(np.array([-500.0, 500.0]))
    np.testing.assert_allclose(prediction.mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(prediction.std, fitted.hyperparameters_["amplitude"], rtol=1e-12)


def test_nearly_noiseless_data_are_interpolated():
    x = np.linspace(-1.5, 1.5, 40)
    y = np.sin(4 * x)
    prediction = GPRegressor().fit(x, y).predict(x)
    np.testing.assert_allclose(prediction.mean, y, atol=1e-3)
    assert prediction.std.max() < 1e-3
    assert np.isfinite(prediction.std).all()


def test_many_points_are_predicted_as_the_same_points_one_by_one(fitted):
    grid = np.linspace(-2, 4, 60_000)  # the full covariance would take 29 GB
    prediction = fitted.predict(grid)
    some = [0, 4095, 4096, 30_000, 59_999]
    alone = [fitted.predict(grid[i : i + 1]) for i in some]
    np.testing.assert_allclose(prediction.mean[some], [float(p.mean[0]) for p in alone], atol=1e-9)
    np.testing.assert_allclose(prediction.std[some], [float(p.std[0]) for p in alone], atol=1e-9)


# --- the hyperparameters ------------------------------------------------------------------------------


def test_model_is_the_seeds(data):
    """Same log posterior as the tutorial's PyMC3 code, up to a constant: its model, line by line."""
    x, y = data
    pm = import_pymc()
    with pm.Model() as seed:
        lengthscale = pm.HalfCauchy("l", 0.05)
        eta = pm.HalfCauchy("eta", 1)
        sigma = pm.HalfCauchy("sigma", 0.1)
        gp = pm.gp.Marginal(cov_func=(eta**2) * pm.gp.cov.ExpQuad(1, lengthscale))
        gp.marginal_likelihood("obs", X=x, y=y, sigma=sigma, jitter=0.0)
    from pytensor.compile.mode import Mode

    theirs = seed.compile_logp(jacobian=True, mode=Mode(linker="py", optimizer="None"))
    ours = Posterior(make_covariance("se", 1), x, y)
    for theta in ([0.3, 1.0, 0.2], [0.05, 2.0, 0.5], [1.5, 0.3, 1.0]):
        z = np.log(theta)
        point = {"l_log__": z[0], "eta_log__": z[1], "sigma_log__": z[2]}
        assert ours.log_density(z) == pytest.approx(float(theirs(point)), rel=1e-9)
        assert ours.log_density(z) == pytest.approx(log_posterior(x, y, *theta), rel=1e-9)


def test_map_is_a_stationary_point(data, fitted):
    best = np.array(list(fitted.hyperparameters_.values()))
    at_best = log_posterior(*data, *best)
    for axis in range(3):
        up, down = (log_posterior(*data, *(best * np.exp(sign * 1e-3 * np.eye(3)[axis]))) for sign in (1, -1))
        assert abs(up - down) / 2e-3 < 1e-3
        assert max(up, down) < at_best


@pytest.mark.parametrize("seed", range(4))
def test_no_optimizer_started_elsewhere_does_better(seed):
    """Small noisy data, where the posterior has several maxima."""
    x, y = draw(seed, n=30, lengthscale=[0.05, 0.3, 1.0, 0.1][seed], noise=[0.1, 0.2, 0.5, 0.9][seed])
    found = log_posterior(x, y, *GPRegressor().fit(x, y).hyperparameters_.values())
    bounds = np.log([(1e-3, 10), (1e-2, 10), (1e-3, 10)])
    rng = np.random.default_rng(seed)
    for _ in range(12):
        start = rng.uniform(*bounds.T)
        rival = minimize(lambda z: -log_posterior(x, y, *np.exp(z)), start, method="Nelder-Mead", bounds=bounds)
        assert found >= -rival.fun - 1e-4


def test_hyperparameters_of_drawn_data_are_recovered():
    found = [
        GPRegressor().fit(*draw(seed, n=150, lengthscale=0.3, amplitude=1.0, noise=0.2)).hyperparameters_
        for seed in range(3)
    ]
    mean = {name: np.mean([theta[name] for theta in found]) for name in found[0]}
    assert mean["lengthscale"] == pytest.approx(0.3, rel=0.2)
    assert mean["amplitude"] == pytest.approx(1.0, rel=0.4)
    assert mean["noise"] == pytest.approx(0.2, rel=0.15)


def test_co2_matches_the_published_spread(co2, fitted_co2):
    """The seed's GP has a total std of 1.14 at x = 3.5 and 0.1 to 0.3 inside the data."""
    prediction = fitted_co2.predict(np.arange(-1.72, 3.505, 0.01))
    total = prediction.total_std()
    assert total[-1] == pytest.approx(1.14, abs=0.03)
    inside = np.arange(-1.72, 3.505, 0.01) < co2[0].max()
    assert 0.09 < total[inside].min() <= total[inside].max() < 0.3
    assert fitted_co2.fit_seconds_ < 10


def test_co2_map_is_the_best_of_a_scan(co2, fitted_co2):
    """The posterior also has all-noise and all-signal maxima, hundreds of nats lower."""
    found = log_posterior(*co2, *fitted_co2.hyperparameters_.values())
    scanned = [
        log_posterior(*co2, lengthscale, amplitude, noise)
        for lengthscale in np.geomspace(0.005, 3, 14)
        for amplitude in (0.3, 1.0, 3.0)
        for noise in (0.03, 0.1, 0.4, 1.0)
    ]
    assert found > max(scanned)


def test_fit_is_deterministic_and_leaves_the_global_generator_alone(data, fitted):
    before = np.random.get_state()[1].copy()  # noqa: NPY002  (the global generator is the subject)
    again = GPRegressor().fit(*data)
    assert again.hyperparameters_ == fitted.hyperparameters_
    np.testing.assert_array_equal(again.predict([0.1]).mean, fitted.predict([0.1]).mean)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# --- shapes and what comes in ----------------------------------------------------------------------------


def test_shapes_follow_the_targets(data, fitted):
    x, y = data
    column = GPRegressor().fit(x[:, 0], y[:, None])
    assert fitted.predict(x).mean.shape == fitted.predict(x[:, 0]).std.shape == (len(x),)
    assert column.predict(x).mean.shape == column.predict(x).std.shape == (len(x), 1)
    np.testing.assert_array_equal(column.predict(x).mean[:, 0], fitted.predict(x).mean)


def test_changing_the_arrays_afterwards_changes_nothing(data):
    x, y = (array.copy() for array in data)
    gp = GPRegressor().fit(x, y)
    before = gp.predict([0.3]).mean
    x += 1
    y += 1
    np.testing.assert_array_equal(gp.predict([0.3]).mean, before)


def test_duplicate_rows_average():
    x = np.repeat([-1.0, 0.0, 1.0], 20)
    y = np.repeat([1.0, -1.0, 1.0], 20) + np.random.default_rng(0).normal(scale=0.3, size=60)
    prediction = GPRegressor().fit(x, y).predict([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(prediction.mean, y.reshape(3, 20).mean(axis=1), atol=0.05)


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_unstandardized_targets_still_fit(scale):
    x = np.linspace(-1.5, 1.5, 30)
    prediction = GPRegressor().fit(x, scale * np.sin(4 * x)).predict(x)
    np.testing.assert_allclose(prediction.mean / scale, np.sin(4 * x), atol=1e-2)


GOOD = np.linspace(0, 1, 5)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0, np.nan, 1.0], [1.0, 2.0, 3.0], "x must be finite, got 1 NaN"),
        ([0.0, 1.0, 2.0], [1.0, np.inf, 3.0], "y must be finite"),
        ([], [], "at least one value, got shape"),
        (np.zeros((5, 0)), GOOD, "at least one value, got shape"),
        (GOOD, GOOD[:4], "same length, got 5 and 4"),
        (GOOD[None], GOOD, "same length, got 1 and 5"),
        (np.zeros((5, 1, 1)), GOOD, "shape (N, D) or (N,)"),
        (1.0, 2.0, "shape (N, D) or (N,)"),
        (GOOD, np.ones((5, 2)), "one GPRegressor per output column"),
        (GOOD, 3.0, "y must have shape (N,) or (N, 1)"),
        ([0.0], [1.0], "at least 2 points, got 1"),
        (GOOD, np.full(5, 7.0), "y must vary, got 5 times 7"),
        (["a", "b"], [0.0, 1.0], "x must be an array of numbers, got list"),
        ([[1.0], [2.0, 3.0]], [0.0, 1.0], "x must be an array of numbers"),
        (GOOD, None, "y must"),
        (GOOD, 1e200 * GOOD, "standardize both"),
    ],
)
def test_bad_training_data_are_refused(x, y, message):
    with pytest.raises(InputError) as caught:
        GPRegressor().fit(x, y)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], "at least one value"),
        ([np.nan], "finite"),
        (np.zeros((3, 2)), "1 column(s) as in fit, got shape (3, 2)"),
        (0.5, "shape (N, D) or (N,)"),
        ("x", "array of numbers"),
    ],
)
def test_bad_prediction_inputs_are_refused(fitted, x, message):
    with pytest.raises(InputError) as caught:
        fitted.predict(x)
    assert message in str(caught.value)


def test_predict_before_fit_is_refused():
    with pytest.raises(InputError, match=r"call fit\(x, y\) first"):
        GPRegressor().predict([0.0])


@pytest.mark.parametrize("options", [{"kernel": "rbf"}, {"kernel": None}, {"inference": "vi"}])
def test_unknown_choices_are_refused(options):
    with pytest.raises(InputError, match=rf"{next(iter(options))} must be one of"):
        GPRegressor(**options)


def test_failed_fit_keeps_the_earlier_one(data):
    gp = GPRegressor().fit(*data)
    before = gp.predict([0.3]).mean
    with pytest.raises(InputError):
        gp.fit(GOOD, 1e200 * GOOD)
    np.testing.assert_array_equal(gp.predict([0.3]).mean, before)


# --- a bare machine --------------------------------------------------------------------------------------

BARE = """
import sys
from mcdrop.baselines import GPRegressor
assert not {"pymc", "pytensor", "arviz"} & set(sys.modules), "importing the baselines must not import PyMC"
GPRegressor().fit([0.0, 0.4, 1.0, 1.5], [0.0, 0.5, 1.0, 0.8]).predict([0.3])
"""


def test_without_a_compiler_nothing_is_printed_and_nothing_warns(tmp_path):
    env = {**os.environ, "PATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", BARE], env=env, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# --- a correctly specified problem -------------------------------------------------------------------------


@pytest.mark.parametrize(("noise", "n"), [(0.2, 60), (0.5, 60), (1.0, 60)])
def test_intervals_of_drawn_data_hold_95_percent_of_new_observations(noise, n):
    """20 data sets drawn from the model, 200 new observations each: 95% within four standard errors between sets."""
    shares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1.7, 1.7, size=(n + 200, 1))
        function = np.linalg.cholesky(covariance(x, x, 0.3, 1.0) + 1e-9 * np.eye(len(x))) @ rng.normal(size=len(x))
        y = function + noise * rng.normal(size=len(x))
        pred = GPRegressor().fit(x[:n], y[:n]).predict(x[n:])
        shares.append(np.mean(np.abs(y[n:] - pred.mean) < 1.96 * pred.total_std()))
    assert abs(np.mean(shares) - 0.95) < 4 * np.std(shares) / np.sqrt(20) + 0.01
    assert np.mean(shares) > 0.9


def test_noisy_data_are_not_taken_for_a_function_without_noise():
    """With the density of theta itself in place of log theta's, most of these would have no noise at all."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1.7, 1.7, size=40)
        y = np.sin(3 * x) / np.sqrt(2) + rng.normal(size=40) / np.sqrt(2)
        assert GPRegressor().fit(x, y).hyperparameters_["noise"] > 0.05


def test_options_changed_after_the_fit_do_not_change_what_it_was(data, tmp_path):
    gp = GPRegressor().fit(*data)
    gp.kernel = "arccos"
    assert gp.predict([0.0]).provenance == {"model": "GPRegressor", "kernel": "se", "inference": "map"}
    assert mcdrop.load(gp.save(tmp_path / "gp.nc")).kernel == "se"


def test_an_infinite_covariance_is_refused(data):
    with pytest.raises(InputError, match=r"got values up to 1e\+200; standardize x"):
        GPRegressor("arccos").fit(*data).predict([1e200])
