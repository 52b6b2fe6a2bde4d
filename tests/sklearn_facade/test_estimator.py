"""What scikit-learn does with estimators: clones, files, tables, pipelines; and how their nets are trained."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcdrop.sklearn import MCDropoutClassifier, MCDropoutRegressor

from .made import BOTH, own_net, quick, wave


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


def test_pipelines_and_cross_validation():
    x, y = load_iris(return_X_y=True)
    scores = cross_val_score(make_pipeline(StandardScaler(), MCDropoutClassifier(steps=150)), x, y, cv=3)
    assert scores.mean() > 0.9
    pipe = make_pipeline(StandardScaler(), quick()).fit(x[:, :2], x[:, 2])
    assert len(pipe.predict(x[:, :2], return_std=True)) == 2  # a pipeline hands it on


def rates_of_training(model):
    """Return the dropout rate of every step of a fit."""
    rates = []

    def note(module, args):
        if isinstance(module, torch.nn.Dropout) and module.training:
            rates.append(module.p)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        model.fit(*wave(20))
    finally:
        handle.remove()
    return np.array(rates)


def test_dropout_sets_in_where_the_net_is_new_and_stays_where_it_is_not():
    """A net that comes with weights has learned to bear its dropout, and is not to forget it."""
    np.testing.assert_allclose(rates_of_training(quick(dropout=0.2)), 0.2 * np.minimum(1, np.arange(1, 31) / 12))
    assert rates_of_training(quick(net=own_net(p=0.2))).tolist() == [0.2] * 30
