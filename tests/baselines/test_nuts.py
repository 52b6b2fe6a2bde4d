"""NUTS agrees with MAP on the CO2 series, its prediction is the mixture of its draws, and bad chains are reported."""

import builtins
import re
import warnings

import numpy as np
import pytest

import mcdrop
from mcdrop import ConvergenceWarning, DependencyError, InputError
from mcdrop.baselines import GPRegressor
from mcdrop.baselines.nuts import Diagnosis, Draws
from mcdrop.datasets import load_co2

pytestmark = pytest.mark.xdist_group("nuts")  # Numba compiles once in a process what all of them need


FEW = {"chains": 2, "draws": 30, "tune": 60}


@pytest.fixture(scope="module")
def co2():
    series = load_co2()
    return series.x, series.y


@pytest.fixture(scope="module")
def sampled(co2):
    return GPRegressor("se", inference="nuts", chains=2, draws=300, tune=250, seed=1).fit(*co2)


def wave(n=25):
    x = np.linspace(-1.5, 1.5, n)
    return x, np.sin(3 * x) + 0.1 * np.random.default_rng(0).normal(size=n)


def small(seed=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so few draws are too few
        return GPRegressor("se", inference="nuts", seed=seed, **FEW).fit(*wave())


@pytest.fixture(scope="module")
def few():
    return small()


def test_map_and_nuts_agree_on_co2_within_two_posterior_standard_deviations(co2, sampled):
    best = GPRegressor("se").fit(*co2).hyperparameters_
    assert set(best) == set(sampled.hyperparameters_) == {"lengthscale", "amplitude", "noise"}
    for name, value in best.items():
        assert abs(value - sampled.hyperparameters_[name]) < 2 * sampled.hyperparameter_stds_[name]
    assert sampled.diagnosis_.converged


def test_co2_prediction_of_nuts_is_near_that_of_map(co2, sampled):
    """With 272 points the data leave little open about the hyperparameters, so the mixture is nearly one process."""
    grid = np.linspace(-1.7, 3.5, 200)[:, None]
    best, mixed = GPRegressor("se").fit(*co2).predict(grid), sampled.predict(grid)
    assert mixed.passes == 600
    np.testing.assert_allclose(mixed.mean, best.mean, atol=0.05)
    np.testing.assert_allclose(mixed.total_std(), best.total_std(), rtol=0.1)
    assert mixed.total_std()[-1, 0] == pytest.approx(1.14, abs=0.08)  # published, by the tutorial's own NUTS run


def test_prediction_is_the_mixture_of_the_draws(few):
    """Law of total variance, against the moments of a brute-force sample of functions and noise."""
    x, y = wave()
    grid = np.linspace(-2.5, 2.5, 7)
    draws = few.to_arviz()["posterior"]
    values = {name: np.asarray(draws[name]).ravel() for name in ("lengthscale", "amplitude", "noise")}
    means, variances = [], []
    for length, amplitude, noise in zip(*values.values(), strict=True):

        def k(a, b, length=length, amplitude=amplitude):
            return amplitude**2 * np.exp(-0.5 * (a[:, None] - b[None]) ** 2 / length**2)

        inverse = np.linalg.inv(k(x, x) + noise**2 * np.eye(len(x)))
        means.append(k(grid, x) @ inverse @ y)
        variances.append(np.diag(k(grid, grid) - k(grid, x) @ inverse @ k(x, grid)))
    prediction = few.predict(grid)
    np.testing.assert_allclose(prediction.mean, np.mean(means, axis=0), atol=1e-8)
    np.testing.assert_allclose(prediction.std**2, np.mean(variances, axis=0) + np.var(means, axis=0), atol=1e-8)
    assert prediction.noise_std**2 == pytest.approx(np.mean(values["noise"] ** 2))


def test_the_same_seed_gives_the_same_draws(few):
    assert small().hyperparameters_ == few.hyperparameters_


def test_too_few_draws_are_warned_about_with_the_number_that_failed_and_made_an_error_leave_a_whole_fit(few):
    gp = GPRegressor("se", inference="nuts", seed=7, **FEW)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match=r"effective sample size of \w+ is \d+, below 200"):
            gp.fit(*wave())
    assert not gp.diagnosis_.converged
    assert "not converged" in gp.summary()
    assert gp.hyperparameters_ != few.hyperparameters_  # of another seed


def chain(offset=0.0, n=500, seed=0):
    values = np.random.default_rng(seed).normal(size=(2, n))
    values[1] += offset
    return values


def diagnose(values, diverging=0):
    flags = np.zeros(values.shape[:2], dtype=bool)
    flags[0, :diverging] = True
    return Draws({"lengthscale": values}, {"diverging": flags}).diagnose()


def test_good_chains_pass():
    diagnosis = diagnose(chain())
    assert diagnosis.converged
    assert diagnosis.r_hat["lengthscale"] == pytest.approx(1.0, abs=0.01)
    assert diagnosis.ess_bulk["lengthscale"] == pytest.approx(1000, rel=0.2)


def test_chains_in_different_places_fail_by_r_hat():
    assert re.search(r"R-hat of lengthscale is 1\.\d+, above 1.01", "; ".join(diagnose(chain(offset=3.0)).problems))


def test_sticky_chains_fail_by_effective_sample_size():
    values = np.repeat(chain(n=30), 20, axis=1)
    assert any("bulk effective sample size of lengthscale" in text for text in diagnose(values).problems)


def test_divergences_fail():
    assert diagnose(chain(), diverging=3).problems == ("3 draws diverged",)


def test_a_number_that_is_not_one_fails():
    assert not Diagnosis({"a": float("nan")}, {"a": 1e3}, {"a": 1e3}, 0, 2).converged


def test_arrays_of_hyperparameters_are_named_entry_by_entry():
    values = np.random.default_rng(0).normal(size=(2, 500, 3))
    assert list(diagnose(values).r_hat) == ["lengthscale[0]", "lengthscale[1]", "lengthscale[2]"]


def test_summary_gives_units_spread_and_diagnosis(sampled):
    text = sampled.summary()
    judged = r"\(R-hat (1\.00|0\.99)\d, ESS \d+ bulk, \d+ tail\)"
    assert re.search(rf"lengthscale +0\.030\d* units of x, ± 0\.001\d* {judged}", text)
    assert "2 chains, 0 divergences: converged" in text


def test_arviz_sees_the_draws(few):
    data = few.to_arviz()
    assert data["posterior"]["noise"].dims == ("chain", "draw")
    assert data["posterior"]["noise"].shape == (2, 30)
    assert data["posterior"]["lengthscale"].attrs["units"] == "units of x"
    np.testing.assert_array_equal(data["observed_data"]["y"], wave()[1])


def test_arviz_needs_draws():
    with pytest.raises(InputError, match="needs draws, got a fit by MAP"):
        GPRegressor().fit(*wave()).to_arviz()


def test_without_nutpie_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "nutpie":
            raise ImportError("No module named 'nutpie'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DependencyError, match=r"pip install 'mcdrop\[nuts\]'"):
        GPRegressor("se", inference="nuts").fit(*wave())


def test_draws_survive_saving(few, tmp_path):
    grid = np.linspace(-2, 2, 9)
    again = mcdrop.load(few.save(tmp_path / "gp.nc"))
    assert again.hyperparameters_ == few.hyperparameters_
    assert again.hyperparameter_stds_ == few.hyperparameter_stds_
    assert again.diagnosis_ == few.diagnosis_
    assert again.summary().split("\n")[1:] == few.summary().split("\n")[1:]
    np.testing.assert_array_equal(again.predict(grid).mean, few.predict(grid).mean)
    np.testing.assert_array_equal(again.predict(grid).std, few.predict(grid).std)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"chains": 1}, "chains must be an integer of at least 2"),
        ({"draws": 3}, "draws must be an integer of at least 4"),
        ({"tune": 0}, "tune must be an integer of at least 1"),
        ({"target_accept": 1.0}, "target_accept must lie between 0 and 1"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_options_are_refused(option, message):
    with pytest.raises(InputError, match=message):
        GPRegressor("se", inference="nuts", **option)


def test_noise_free_duplicates_are_predicted_after_nuts():
    """PyTensor's Cholesky factor accepts what SciPy's does not; the least jitter bridges the difference."""
    x = np.linspace(-1.5, 1.5, 20)
    x = np.concatenate([x, x])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        gp = GPRegressor("se", inference="nuts", chains=2, draws=50, tune=100).fit(x, np.sin(3 * x))
    np.testing.assert_allclose(gp.predict(x).mean, np.sin(3 * x), atol=1e-2)
