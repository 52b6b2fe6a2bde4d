"""The regressor: what a Gaussian process returns, draws of functions, and nets of one's own."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV

from mcdrop import InputError, MCDropout, RegressionPredictive
from mcdrop.sklearn import MCDropoutRegressor

from .made import own_net, quick, wave


@pytest.mark.parametrize("outputs", [1, 2])
def test_shapes_are_those_of_a_gaussian_process(outputs, one, two):
    x, y = wave(30, outputs)
    ours, theirs = (one, two)[outputs - 1], GaussianProcessRegressor(optimizer=None).fit(x, y)
    grid = np.linspace(-2, 2, 5)[:, None]
    assert ours.predict(grid).shape == theirs.predict(grid).shape
    for options in ({"return_std": True}, {"return_cov": True}):
        for a, b in zip(ours.predict(grid, **options), theirs.predict(grid, **options), strict=True):
            assert a.shape == b.shape
            assert a.dtype == b.dtype
    assert ours.sample_y(grid).shape == theirs.sample_y(grid).shape
    assert ours.sample_y(grid, 3).shape == theirs.sample_y(grid, 3).shape


def test_std_and_covariance_at_once_are_refused(one):
    with pytest.raises(InputError, match="return_std or return_cov, got both"):
        one.predict([[0.0]], return_std=True, return_cov=True)


def test_draws_have_mean_and_spread_of_the_prediction(one):
    grid = np.array([[-2.5], [0.0], [1.0]])
    mean, std = one.predict(grid, return_std=True)
    draws = one.sample_y(grid, 4000, random_state=1)
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=4 * std.max() / np.sqrt(4000) + 4 * std.max() / 10)
    np.testing.assert_allclose(draws.std(axis=1), std, rtol=0.25)
    np.testing.assert_array_equal(draws, one.sample_y(grid, 4000, random_state=1))
    assert not np.array_equal(draws, one.sample_y(grid, 4000, random_state=2))


def test_each_draw_is_a_whole_function():
    model = MCDropoutRegressor(steps=300).fit(*wave())
    near = model.sample_y([[2.0], [2.0 + 1e-6]], 50)
    np.testing.assert_allclose(near[0], near[1], atol=1e-3)
    assert near[0].std() > 0.01


def test_draws_are_independent():
    """Of 25 draws as many drop a unit as coins fall heads up; passes that share the work would drop 12 or 13."""
    model = MCDropoutRegressor.from_net(torch.nn.Dropout(0.5))
    dropped = [np.sum(model.sample_y([[1.0]], 25, random_state=state) == 0) for state in range(100)]
    assert abs(np.mean(dropped) - 12.5) < 4 * 2.5 / np.sqrt(100)
    assert 0.7 * 2.5 < np.std(dropped) < 1.3 * 2.5


def test_unsure_where_no_data_were(one):
    _, std = one.predict([[0.0], [6.0]], return_std=True)
    assert std[1] > 2 * std[0]
    assert one.score(*wave(seed=5)) > 0.85


def test_spread_alone_unless_the_noise_is_known():
    x, y = wave(60)
    silent = quick().fit(x, y)
    given = quick(noise_std=0.5).fit(x, y)
    pred = silent.predictive(x)
    assert isinstance(pred, RegressionPredictive)
    assert silent.noise_std_ == 0
    assert pred.noise_std is None
    np.testing.assert_array_equal(silent.predict(x, return_std=True)[1], pred.std[:, 0])
    np.testing.assert_allclose(given.predict(x, return_std=True)[1], np.hypot(pred.std[:, 0], 0.5))
    np.testing.assert_allclose(given.predictive(x).total_std()[:, 0], np.hypot(pred.std[:, 0], 0.5))


def test_units_of_the_data_do_not_matter():
    x, y = wave(100)
    plain, other = quick(steps=100).fit(x, y), quick(steps=100).fit(2.0**-9 * x, 2.0**9 * y)
    for a, b in zip(plain.predict(x, return_std=True), other.predict(2.0**-9 * x, return_std=True), strict=True):
        np.testing.assert_allclose(b, 2.0**9 * a, rtol=1e-9)
    shifted = quick(steps=100).fit(x + 100, y - 1000)
    np.testing.assert_allclose(shifted.predict(x + 100), plain.predict(x) - 1000, atol=1e-6)


def test_the_net_takes_x_and_gives_y_without_the_estimator():
    x, y = make_friedman1(80, random_state=0)
    model = quick().fit(x, y)
    pred = MCDropout(model.net_).predict(x, passes=100, seed=model.seed_)
    np.testing.assert_array_equal(model.predict(x), pred.mean[:, 0])
    assert [site.rate for site in model.model_.sites(x).live] == [0.1]
    assert isinstance(model.net_, torch.nn.Sequential)


def test_a_trained_net_predicts_at_once_and_is_not_changed():
    net, x = own_net(), np.linspace(-1, 1, 9)[:, None]
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    model = MCDropoutRegressor.from_net(net, noise_std=0.3, passes=50)
    mean, std = model.predict(x, return_std=True)
    pred = MCDropout(net).predict(x, passes=50, seed=model.seed_)
    np.testing.assert_allclose(mean, pred.mean[:, 0])
    np.testing.assert_allclose(std, np.hypot(pred.std[:, 0], 0.3))
    trained = clone(model).fit(x, x[:, 0])
    assert model.fit(x, x[:, 0]) is model
    np.testing.assert_array_equal(trained.predict(x), model.predict(x))
    assert np.abs(model.predict(x) - mean).max() > 0.01
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())


def test_a_net_without_an_axis_of_outputs():
    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = own_net()

        def forward(self, x):
            return self.inner(x)[:, 0]

    x, y = wave(40)
    model = MCDropoutRegressor(net=Flat(), noise_std="fit", steps=20).fit(x, y)
    assert model.predict(x[:5]).shape == (5,)
    assert model.predict(x[:5], return_cov=True)[1].shape == (5, 5)
    assert model.sample_y(x[:5], 2).shape == (5, 2)


def test_a_search_over_dropout():
    x, y = wave(60)
    search = GridSearchCV(MCDropoutRegressor(steps=200), {"dropout": [0.05, 0.95]}, cv=2).fit(x, y)
    assert search.best_params_ == {"dropout": 0.05}
    assert search.predict([[0.0]]).shape == (1,)
    mean, std = search.best_estimator_.predict([[0.0]], return_std=True)
    assert std[0] > 0
    assert mean.shape == (1,)


def test_passes_may_follow_the_error():
    x, y = wave(40)
    model = quick(passes="auto").fit(x, y)
    assert model.predictive(x, tolerance=0.2).passes.shape == (40,)
    assert model.predict(x, return_std=True)[1].shape == (40,)
    with pytest.raises(InputError, match="return_cov needs one number of passes"):
        model.predict(x, return_cov=True)
