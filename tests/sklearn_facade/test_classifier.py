"""The classifier: its labels, their probabilities, and nets of one's own."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, make_moons
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcdrop import ClassificationPredictive, InputError, MCDropout
from mcdrop.sklearn import MCDropoutClassifier

from .made import own_net, quick


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


def test_one_class_is_none():
    with pytest.raises(InputError, match="at least 2 classes, got 1 class"):
        quick(MCDropoutClassifier).fit([[0.0], [1.0]], ["a", "a"])
