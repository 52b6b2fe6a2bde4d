"""The estimators: what a Gaussian process returns, what scikit-learn does with estimators, and what mcdrop knows."""

import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris, make_friedman1, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcdrop import ClassificationPredictive, InputError, MCDropout, NoDropoutError, RegressionPredictive
from mcdrop.sklearn import MCDropoutClassifier, MCDropoutRegressor
from mcdrop.sklearn.units import Units, fold_inputs, fold_outputs

SIGMA = 0.2
BOTH = [MCDropoutRegressor, MCDropoutClassifier]


def wave(rows=200, outputs=1, seed=0):
    """Return noisy sines on [-1.5, 1.5], the second of them a hundred times as high, on a slope of inputs."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.5, 1.5, (rows, 1))
    y = np.hstack([np.sin(3 * x), 100 * np.cos(3 * x)][:outputs]) + [SIGMA, 50.0][:outputs] * rng.normal(
        size=(rows, outputs)
    )
    return x, y[:, 0] if outputs == 1 else y


@pytest.fixture(scope="module")
def one():
    return MCDropoutRegressor(noise_std="fit", steps=600).fit(*wave())


@pytest.fixture(scope="module")
def two():
    return MCDropoutRegressor(noise_std="fit", steps=600).fit(*wave(outputs=2))


def quick(kind=MCDropoutRegressor, **options):
    return kind(**{"steps": 30, "hidden_layer_sizes": (16,), **options})


# As a Gaussian process


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


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_diagonal_of_the_covariance_is_the_variance(outputs, one, two):
    model = (one, two)[outputs - 1]
    grid = np.linspace(-2, 2, 7)[:, None]
    _, std = model.predict(grid, return_std=True)
    _, covariance = model.predict(grid, return_cov=True)
    np.testing.assert_allclose(np.sqrt(np.einsum("ii...->i...", covariance)), std, rtol=1e-10)
    for one_output in np.moveaxis(covariance.reshape(7, 7, -1), 2, 0):
        np.testing.assert_allclose(one_output, one_output.T)
        assert np.linalg.eigvalsh(one_output).min() > 0


def test_covariances_are_those_of_the_passes(one):
    grid = np.linspace(-2, 2, 6)[:, None]
    model = copy.copy(one).set_params(passes=1000)
    samples = model.predictive(grid, keep_samples=True).samples[:, :, 0]
    _, covariance = model.predict(grid, return_cov=True)
    expected = np.cov(samples, rowvar=False) + one.noise_std_**2 * np.eye(6)
    np.testing.assert_allclose(covariance, expected, rtol=0.01, atol=1e-4)
    assert covariance[0, 1] > 10 * abs(covariance[0, 1] - expected[0, 1])  # neighbors move together


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


# What is learned


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_noise_is_found_for_each_output(outputs, one, two):
    model = (one, two)[outputs - 1]
    np.testing.assert_allclose(model.noise_std_, [SIGMA, 50.0][:outputs], rtol=0.35)
    _, std = model.predict([[0.0]], return_std=True)
    assert (std > 0.99 * np.asarray(model.noise_std_)).all()


def test_the_noise_is_found_on_rows_that_the_net_has_not_seen():
    """Of nothing but noise, a net learns by heart what it sees."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=60)
    model = MCDropoutRegressor(noise_std="fit", dropout=0.02, steps=300).fit(x, y)
    assert np.sqrt(np.mean((model.predict(x) - y) ** 2)) < 0.3
    assert model.noise_std_ > 0.6


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


def test_folding_is_exact():
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 3, (20, 4)), rng.normal(-2, 7, (20, 2))
    x[:, 1] = 0.1  # constant
    inputs, outputs = Units.of(x, "X"), Units.of(y, "y")
    assert inputs.scale[1] == 1
    np.testing.assert_allclose(inputs.standardize(x).std(axis=0), [1, 0, 1, 1], atol=1e-12)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    before = net(torch.as_tensor(inputs.standardize(x))).detach().numpy() * outputs.scale + outputs.mean
    fold_inputs(net[0], inputs)
    fold_outputs(net[-1], outputs)
    np.testing.assert_allclose(net(torch.as_tensor(x)).detach().numpy(), before, rtol=1e-12)


def test_classes_keep_their_names_and_order():
    x, y = load_iris(return_X_y=True)
    names = np.array(["z", "a", "m"])[y]
    model = MCDropoutClassifier(steps=200).fit(x, names)
    assert model.classes_.tolist() == ["a", "m", "z"]
    probs = model.predict_proba(x)
    pred = model.predictive(x)
    assert isinstance(pred, ClassificationPredictive)
    np.testing.assert_allclose(probs, pred.probs, rtol=1e-6)
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(model.predict(x), model.classes_[probs.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), probs)
    assert model.score(x, names) > 0.93
    assert (pred.mutual_information >= 0).all()


# A net of one's own


def own_net(outputs=1, p=0.2):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(1, 32), torch.nn.ReLU(), torch.nn.Dropout(p), torch.nn.Linear(32, outputs)
    )


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


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_trained_classifier_predicts_at_once(outputs):
    net, x = own_net(outputs), np.linspace(-1, 1, 9)[:, None]
    model = MCDropoutClassifier.from_net(net, classes=["no", "yes"])
    expected = MCDropout(net, task="classification").predict(x, seed=model.seed_).probs
    np.testing.assert_allclose(model.predict_proba(x), expected, rtol=1e-6)
    assert set(model.predict(x)) <= {"no", "yes"}


def test_a_net_of_ones_own_learns_classes():
    x, y = make_moons(100, noise=0.1, random_state=0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(32, 2))
    model = make_pipeline(StandardScaler(), MCDropoutClassifier(net=net, steps=200, learning_rate=0.02)).fit(x, y)
    assert model.score(x, y) > 0.85


# What scikit-learn does with estimators


@pytest.mark.parametrize("kind", BOTH)
def test_clones_have_the_parameters_and_no_fit(kind):
    x, y = wave(40)
    model = quick(kind, dropout=0.3).fit(x, y > 0)
    other = clone(model)
    assert other.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        other.predict(x)
    np.testing.assert_array_equal(other.fit(x, y > 0).predict(x), model.predict(x))
    other.set_params(dropout=0.5)
    assert other.dropout == 0.5


@pytest.mark.parametrize("kind", BOTH)
def test_random_state_is_all_that_is_left_to_chance(kind):
    x, y = wave(40)

    def values(**options):
        pred = quick(kind, **options).fit(x, y > 0).predictive(x)
        return pred.mean if kind is MCDropoutRegressor else pred.probs

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(values(), values(random_state=0))
    assert not np.array_equal(values(), values(random_state=1))
    first = values(random_state=np.random.RandomState(3))
    np.testing.assert_array_equal(first, values(random_state=np.random.RandomState(3)))
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("keep", [pickle, joblib])
def test_files_give_the_same_predictions(kind, keep):
    x, y = wave(40)
    model = quick(kind).fit(x, y > 0)
    expected = model.predict(x)  # what predicting remembers is left out
    file = io.BytesIO()
    keep.dump(model, file)
    file.seek(0)
    np.testing.assert_array_equal(keep.load(file).predict(x), expected)


@pytest.mark.parametrize("kind", BOTH)
def test_tables_have_named_columns(kind):
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(30, 2)), columns=["height", "width"])
    y = pd.Series(x["height"] > 0, name="tall")
    model = quick(kind).fit(x, y)
    assert model.feature_names_in_.tolist() == ["height", "width"]
    assert model.n_features_in_ == 2
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(x[["width", "height"]])
    with (
        pytest.raises(ValueError, match="expecting 2 features"),
        pytest.warns(UserWarning, match="valid feature names"),
    ):
        model.predict(x.to_numpy()[:, :1])
    with sklearn.config_context(transform_output="pandas"):
        assert type(model.predict(x)) is np.ndarray
        assert type(make_pipeline(StandardScaler(), quick(kind)).fit(x, y).predict(x)) is np.ndarray


def test_a_search_over_dropout():
    x, y = wave(60)
    search = GridSearchCV(MCDropoutRegressor(steps=200), {"dropout": [0.05, 0.95]}, cv=2).fit(x, y)
    assert search.best_params_ == {"dropout": 0.05}
    assert search.predict([[0.0]]).shape == (1,)
    mean, std = search.best_estimator_.predict([[0.0]], return_std=True)
    assert std[0] > 0
    assert mean.shape == (1,)


def test_pipelines_and_cross_validation():
    x, y = load_iris(return_X_y=True)
    scores = cross_val_score(make_pipeline(StandardScaler(), MCDropoutClassifier(steps=150)), x, y, cv=3)
    assert scores.mean() > 0.9
    pipe = make_pipeline(StandardScaler(), quick()).fit(x[:, :2], x[:, 2])
    assert len(pipe.predict(x[:, :2], return_std=True)) == 2  # a pipeline hands it on


def test_passes_may_follow_the_error():
    x, y = wave(40)
    model = quick(passes="auto").fit(x, y)
    assert model.predictive(x, tolerance=0.2).passes.shape == (40,)
    assert model.predict(x, return_std=True)[1].shape == (40,)
    with pytest.raises(InputError, match="return_cov needs one number of passes"):
        model.predict(x, return_cov=True)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.0}, r"dropout must be a rate in \(0, 1\), got 0.0"),
        ({"dropout": 1.0}, r"dropout must be a rate in \(0, 1\), got 1.0"),
        ({"steps": 0}, "steps must be a positive integer"),
        ({"batch_size": 0, "steps": None}, "batch_size must be an integer of at least 1"),
        ({"learning_rate": -1}, "lr must be a positive number"),
        ({"hidden_layer_sizes": ()}, "sequence of one or more widths"),
        ({"activation": "step"}, "activation must be one of"),
        ({"net": "resnet"}, "net must be a torch.nn.Module, got str"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_parameters_are_checked_in_fit(kind, options, message):
    with pytest.raises(InputError, match=message):
        quick(kind, **options).fit([[0.0], [1.0], [2.0]], [0, 1, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_std": -1.0}, "noise_std must be a standard deviation in units of y"),
        ({"noise_std": "guess"}, "None, or in the constructor 'fit', got 'guess'"),
        ({"noise_std": [0.1, 0.2]}, "one for each output"),
        ({"noise_std": "fit", "validation_fraction": 1.0}, "validation_fraction must lie strictly between 0 and 1"),
    ],
)
def test_noise_is_checked_in_fit(options, message):
    with pytest.raises(InputError, match=message):
        quick(**options).fit([[0.0], [1.0]], [0.0, 1.0])


def test_noise_needs_rows_to_hold_out():
    with pytest.raises(InputError, match="at least 2 rows"):
        quick(noise_std="fit").fit([[0.0]], [1.0])


def test_numbers_too_large_for_a_spread_are_refused():
    with pytest.raises(InputError, match="X must have columns whose spread is a finite number"):
        quick().fit([[1e300], [-1e300]], [0.0, 1.0])


def test_nets_of_ones_own_are_checked():
    with pytest.raises(InputError, match=r"net must be a torch.nn.Module"):
        MCDropoutRegressor.from_net("net")
    with pytest.raises(InputError, match="got 'fit'; with data to fit it to"):
        MCDropoutRegressor.from_net(own_net(), noise_std="fit")
    with pytest.raises(InputError, match="two or more labels, all different"):
        MCDropoutClassifier.from_net(own_net(2), classes=["a", "a"])
    with pytest.raises(InputError, match="probabilities of the 3 classes of each row, got shape"):
        MCDropoutClassifier.from_net(own_net(2), classes=range(3)).predict_proba([[0.0]])
    with pytest.raises(NoDropoutError):
        MCDropoutRegressor.from_net(torch.nn.Linear(1, 1)).predict([[0.0]])


def test_one_class_is_none():
    with pytest.raises(InputError, match="at least 2 classes, got 1 class"):
        quick(MCDropoutClassifier).fit([[0.0], [1.0]], ["a", "a"])
