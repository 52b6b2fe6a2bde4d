"""Any covariance of PyMC serves: fixed numbers, priors of its own, arrays of hyperparameters."""

import numpy as np
import pytest

import mcdrop
from mcdrop import InputError
from mcdrop.baselines import GPRegressor
from mcdrop.baselines.covariance import make_covariance
from mcdrop.baselines.gp_posterior import Posterior
from mcdrop.baselines.pymc_import import import_pymc

pm = import_pymc()


def squared_exponential():
    """The seed's model, as a user would write it."""
    return pm.HalfCauchy("amplitude", 1) ** 2 * pm.gp.cov.ExpQuad(1, ls=pm.HalfCauchy("lengthscale", 0.05))


def relevance():
    return pm.gp.cov.Matern52(2, ls=pm.LogNormal("ls", mu=0, sigma=1, shape=2))


def wave(n=40):
    x = np.linspace(-1.5, 1.5, n)
    return x, np.sin(3 * x) + 0.1 * np.random.default_rng(0).normal(size=n)


@pytest.fixture(scope="module")
def custom():
    return GPRegressor(squared_exponential).fit(*wave())


def test_the_seeds_model_written_by_a_user_gives_what_the_named_kernel_gives(custom):
    named, grid = GPRegressor("se").fit(*wave()), np.linspace(-3, 3, 20)
    for name, value in named.hyperparameters_.items():
        assert custom.hyperparameters_[name] == pytest.approx(value, rel=1e-4)
    np.testing.assert_allclose(custom.predict(grid).mean, named.predict(grid).mean, atol=1e-4)
    np.testing.assert_allclose(custom.predict(grid).std, named.predict(grid).std, atol=1e-4)
    assert custom.units_["noise"] == "units of y"


def test_a_covariance_of_fixed_numbers_leaves_the_noise_alone_to_learn():
    x, y = wave()
    gp = GPRegressor(pm.gp.cov.Matern32(1, ls=0.7)).fit(x, y)
    assert list(gp.hyperparameters_) == ["noise"]
    r = np.sqrt(3) * np.abs(x[:, None] - x) / 0.7
    full = (1 + r) * np.exp(-r)
    expected = full @ np.linalg.solve(full + gp.hyperparameters_["noise"] ** 2 * np.eye(len(x)), y)
    np.testing.assert_allclose(gp.predict(x).mean, expected, atol=1e-8)


def test_arrays_of_hyperparameters_tell_relevant_inputs_from_others():
    x = np.random.default_rng(1).uniform(-1, 1, size=(60, 2))
    gp = GPRegressor(relevance).fit(x, np.sin(4 * x[:, 0]))
    assert set(gp.hyperparameters_) == {"ls[0]", "ls[1]", "noise"} == set(gp.units_)
    assert gp.hyperparameters_["ls[1]"] > 5 * gp.hyperparameters_["ls[0]"]


def test_white_noise_in_the_covariance_is_noise_at_the_training_points():
    """It enters the training covariance, not that between training and new points."""
    x, y = wave()
    covariance = make_covariance(pm.gp.cov.ExpQuad(1, ls=0.5) + pm.gp.cov.WhiteNoise(0.3), 1)
    inputs = x[:, None]
    difference = covariance.within(inputs)({"noise": 0.1}) - covariance.cross(inputs, inputs, {"noise": 0.1})
    np.testing.assert_allclose(difference, 0.3**2 * np.eye(len(x)), atol=1e-12)
    assert np.isfinite(Posterior(covariance, inputs, y).log_density(np.array([-2.0])))


def test_a_custom_fit_is_loaded_with_its_covariance(custom, tmp_path):
    path, grid = custom.save(tmp_path / "gp.nc"), np.linspace(-3, 3, 20)
    again = mcdrop.load(path, kernel=squared_exponential)
    assert again.hyperparameters_ == pytest.approx(custom.hyperparameters_, rel=1e-15)
    np.testing.assert_array_equal(again.predict(grid).mean, custom.predict(grid).mean)
    with pytest.raises(InputError, match=r"code is not stored; pass the same one: load\(path, kernel="):
        mcdrop.load(path)
    with pytest.raises(InputError, match="must have the hyperparameters amplitude, lengthscale, noise"):
        mcdrop.load(path, kernel=pm.gp.cov.ExpQuad(1, ls=0.5))


def test_a_named_fit_is_loaded_without_one(tmp_path):
    named = GPRegressor("se").fit(*wave())
    path = named.save(tmp_path / "gp.nc")
    again = mcdrop.load(path)
    assert again.hyperparameters_ == named.hyperparameters_
    assert again.fit_seconds_ == named.fit_seconds_
    np.testing.assert_array_equal(again.predict([0.3]).std, named.predict([0.3]).std)
    with pytest.raises(InputError, match="leave kernel out"):
        mcdrop.load(path, kernel=squared_exponential)


def test_random_variables_of_another_model_are_refused():
    with pm.Model():
        stranger = pm.gp.cov.ExpQuad(1, ls=pm.HalfNormal("length", 1))
    with pytest.raises(InputError, match="got length from another model; pass a function"):
        GPRegressor(stranger).fit(*wave())


def named_noise():
    return pm.HalfNormal("noise", 1) * pm.gp.cov.ExpQuad(1, ls=1.0)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda: 3.0, "got a function that returned float"),
        (named_noise, "leave the name 'noise' to the observation noise"),
    ],
)
def test_functions_that_give_no_covariance_are_refused(kernel, message):
    with pytest.raises(InputError, match=message):
        GPRegressor(kernel).fit(*wave())


@pytest.mark.parametrize(
    ("kernel", "period", "message"),
    [
        ("structured", None, "needs period, the length of a season in units of x"),
        ("structured", -1.0, "as a positive number, got -1.0"),
        ("structured", "year", "as a positive number, got 'year'"),
        ("se", 1.0, "period belongs to the kernel 'structured'"),
        (3, None, "kernel must be one of 'se', 'structured', 'arccos'"),
    ],
)
def test_bad_kernels_and_periods_are_refused(kernel, period, message):
    with pytest.raises(InputError, match=message):
        GPRegressor(kernel, period=period)


def test_repr_names_the_kernel(custom):
    assert repr(custom) == "GPRegressor('squared_exponential', inference='map')"


def matern():
    return pm.gp.cov.Matern52(1, ls=pm.HalfNormal("length", 1))


def other_matern():
    return pm.gp.cov.Matern32(1, ls=pm.HalfNormal("length", 1))


def test_another_covariance_with_the_same_hyperparameters_is_not_loaded(tmp_path):
    path = GPRegressor(matern).fit(*wave()).save(tmp_path / "gp.nc")
    with pytest.raises(InputError, match="gives other values for the same hyperparameters"):
        mcdrop.load(path, kernel=other_matern)


def test_fitting_inside_a_model_of_the_users_leaves_it_alone():
    with pm.Model() as own:
        first = GPRegressor(matern).fit(*wave())
        again = GPRegressor(matern).fit(*wave())
    assert not own.free_RVs
    assert first.hyperparameters_ == again.hyperparameters_


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda: pm.gp.cov.ExpQuad(3, ls=np.ones(3)), r"a covariance for x with 1 column\(s\)"),
        (lambda length: pm.gp.cov.ExpQuad(1, ls=length), "a function without arguments"),
        (pm.gp.cov.ExpQuad, "a function without arguments"),
        (lambda: pm.gp.cov.ExpQuad(1, ls=1 + pm.Poisson("steps", 2)), r"got discrete ones \(steps\)"),
    ],
)
def test_functions_that_fail_are_refused(kernel, message):
    with pytest.raises(InputError, match=message):
        GPRegressor(kernel).fit(*wave())


class Mine(GPRegressor):
    pass


def test_a_subclass_is_saved_as_what_it_is_of(tmp_path):
    again = mcdrop.load(Mine("se").fit(*wave()).save(tmp_path / "gp.nc"))
    assert type(again) is GPRegressor
