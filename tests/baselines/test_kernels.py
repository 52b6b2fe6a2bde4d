"""Kernels are covariances: they equal their definitions, are positive semidefinite, and PyMC sees the same ones."""

import numpy as np
import pytest
from scipy.stats import halfcauchy, lognorm

from mcdrop import InputError
from mcdrop.baselines.covariance import make_covariance
from mcdrop.baselines.gp_posterior import Posterior
from mcdrop.baselines.kernels import KERNELS, NOISE, Hyperparameter
from mcdrop.baselines.nuts import build_model
from mcdrop.baselines.pymc_import import import_pymc

THETA = {
    "se": {"lengthscale": 0.4, "amplitude": 1.3, "noise": 0.2},
    "structured": {
        "trend_amplitude": 1.1,
        "trend_lengthscale": 1.7,
        "season_amplitude": 0.8,
        "season_decay": 2.5,
        "season_smoothness": 0.9,
        "short_amplitude": 0.3,
        "short_lengthscale": 0.15,
        "short_shape": 0.6,
        "noise": 0.1,
    },
    "arccos": {"amplitude": 2.0, "bias": 0.7, "noise": 0.1},
}
PERIOD = 0.3


def make(name, columns=1):
    return make_covariance(name, columns, period=PERIOD if name == "structured" else None)


def inputs(seed, n, columns=1):
    return np.random.default_rng(seed).uniform(-2, 2, size=(n, columns))


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_symmetric_positive_semidefinite_with_their_variance_on_the_diagonal(name):
    covariance, x = make(name), inputs(0, 40)
    full = covariance.cross(x, x, THETA[name])
    np.testing.assert_array_equal(full, full.T)
    np.testing.assert_array_equal(full, covariance.within(x)(THETA[name]))
    assert np.linalg.eigvalsh(full).min() > -1e-9
    np.testing.assert_allclose(np.diag(full), covariance.variance(x, THETA[name]), rtol=1e-11)
    assert covariance.cross(x, x[:7], THETA[name]).shape == (40, 7)


@pytest.mark.parametrize("columns", [1, 3])
def test_arccos_is_what_a_wide_layer_of_relu_units_has(columns):
    """2 eta^2 E[relu(w x~) relu(w x~')]: Monte Carlo over the weights of a layer, within five standard errors."""
    x = inputs(1, 6, columns)
    theta = THETA["arccos"]
    padded = np.hstack([x, np.full((6, 1), theta["bias"])])
    weights = np.random.default_rng(2).normal(size=(400_000, columns + 1))
    units = np.maximum(weights @ padded.T, 0.0)
    products = 2 * theta["amplitude"] ** 2 * units[:, :, None] * units[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(weights))
    assert np.all(np.abs(products.mean(axis=0) - make("arccos", columns).cross(x, x, theta)) < 5 * error)


def test_arccos_of_known_angles():
    """Cho & Saul: J(0) = pi, J(pi/2) = 1, J(pi) = 0; without a bias, along one axis, these are 0 and pi."""
    theta = {"amplitude": 1.0, "bias": 1e-9}
    x = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    expected = np.array([[1.0, 2 / np.pi, 0.0], [2 / np.pi, 4.0, 6 / np.pi], [0.0, 6 / np.pi, 9.0]])
    np.testing.assert_allclose(make("arccos", 2).cross(x, x, theta), expected, atol=1e-6)


def test_structured_is_the_sum_of_its_three_parts():
    """Its season repeats after a period but for the decay; without the other parts it is one of theirs."""
    covariance, x = make("structured"), inputs(3, 15)
    r = np.abs(x - x.T)
    t = THETA["structured"]
    trend = t["trend_amplitude"] ** 2 * np.exp(-(r**2) / (2 * t["trend_lengthscale"] ** 2))
    wave = np.sin(np.pi * r / PERIOD) / t["season_smoothness"]
    season = t["season_amplitude"] ** 2 * np.exp(-(r**2) / (2 * t["season_decay"] ** 2) - 2 * wave**2)
    short = (1 + r**2 / (2 * t["short_shape"] * t["short_lengthscale"] ** 2)) ** -t["short_shape"]
    np.testing.assert_allclose(
        covariance.cross(x, x, t), trend + season + t["short_amplitude"] ** 2 * short, rtol=1e-12
    )
    only = {**t, "trend_amplitude": 0.0, "short_amplitude": 0.0, "season_decay": 1e9}
    np.testing.assert_allclose(covariance.cross(x, x + PERIOD, only), covariance.cross(x, x, only), rtol=1e-9)


def test_structured_needs_one_input():
    with pytest.raises(InputError, match="needs one input, time, got x with 2 columns"):
        make("structured", 2)


@pytest.mark.parametrize("name", KERNELS)
def test_pymc_sees_the_same_posterior(name):
    """The numbers of the search and the symbols of the sampler are one density."""
    from pytensor.compile.mode import Mode

    import_pymc()
    x = inputs(4, 12)
    posterior = Posterior(make(name), x, np.sin(3 * x[:, 0]))
    model = build_model(posterior)
    theirs = model.compile_logp(jacobian=True, mode=Mode(linker="py", optimizer="None"))
    for scale in (1.0, 1.3):
        theta = {key: scale * value for key, value in THETA[name].items()}
        z = np.log([theta[variable.name] for variable in model.free_RVs])
        point = {model.rvs_to_values[v].name: value for v, value in zip(model.free_RVs, z, strict=True)}
        assert posterior.log_density(z) == pytest.approx(float(theirs(point)), rel=1e-7)
        assert posterior.covariance.theta(z) == pytest.approx(theta)


def test_priors_are_the_distributions_they_say():
    for value in (0.01, 0.7, 30.0):
        assert NOISE.log_density(value) == pytest.approx(halfcauchy.logpdf(value, scale=0.1))
        prior = Hyperparameter(2.0, "units of x", spread=0.7)
        assert prior.log_density(value) == pytest.approx(lognorm.logpdf(value, 0.7, scale=2.0))


@pytest.mark.parametrize("name", KERNELS)
def test_the_slope_of_the_density_is_its_slope(name):
    x = inputs(5, 30)
    posterior = Posterior(make(name), x, np.sin(5 * x[:, 0]) + 0.1 * x[:, 0])
    z = np.log(list(THETA[name].values()))
    order = list(posterior.covariance.units)
    z = z[[list(THETA[name]).index(key) for key in order]]
    value, slope = posterior.loss(z)
    assert value == -posterior.log_density(z)
    for j, step in enumerate(1e-5 * np.eye(len(z))):
        numeric = (posterior.log_density(z - step) - posterior.log_density(z + step)) / 2e-5
        assert slope[j] == pytest.approx(numeric, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["structured", "arccos"])
def test_hyperparameters_of_drawn_data_explain_them_as_well_as_the_true_ones(name):
    """The maximum of the posterior is at least as probable as the truth, on data drawn from the model."""
    x = inputs(6, 80)
    covariance, theta = make(name), THETA[name]
    full = covariance.cross(x, x, theta) + theta["noise"] ** 2 * np.eye(80)
    y = np.linalg.cholesky(full) @ np.random.default_rng(7).normal(size=80)
    posterior = Posterior(covariance, x, y)
    found = posterior.maximize()
    best, true = (posterior.log_density(np.log([values[key] for key in covariance.units])) for values in (found, theta))
    assert best >= true
    assert found["noise"] == pytest.approx(0.1, rel=0.5)
