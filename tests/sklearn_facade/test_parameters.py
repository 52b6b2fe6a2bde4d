"""Parameters that are not usable are refused before anything is trained."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone

from mcdrop import InputError, NoDropoutError
from mcdrop.sklearn import MCDropoutClassifier, MCDropoutRegressor, estimator

from .made import BOTH, own_net, quick

OF_TWO = {MCDropoutClassifier: [0, 1, 1], MCDropoutRegressor: [[0, 1], [1, 0], [1, 1]]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 0.0}, r"dropout must be a rate in \(0, 1\), got 0.0"),
        ({"dropout": 1.0}, r"dropout must be a rate in \(0, 1\), got 1.0"),
        ({"steps": 0}, "steps must be an integer of at least 1"),
        ({"batch_size": 0, "steps": None}, "batch_size must be an integer of at least 1"),
        ({"learning_rate": -1}, "learning_rate must be a positive number"),
        ({"learning_rate": "fast"}, "learning_rate must be a positive number, got 'fast'"),
        ({"learning_rate": np.nan}, "learning_rate must be a positive number, got nan"),
        ({"dropout": None}, r"dropout must be a rate in \(0, 1\), got None"),
        ({"dropout": "0.1"}, r"dropout must be a rate in \(0, 1\), got '0.1'"),
        ({"dropout": True}, r"dropout must be a rate in \(0, 1\), got True"),
        ({"weight_decay": "a"}, "weight_decay must be a number of at least 0, got 'a'"),
        ({"weight_decay": -1}, "weight_decay must be a number of at least 0, got -1"),
        ({"passes": 0}, "passes must be an integer of at least 2"),
        ({"passes": "x"}, "passes must be an integer of at least 2"),
        ({"random_state": "a"}, "random_state must be an integer from 0"),
        ({"random_state": -1}, "random_state must be an integer from 0"),
        ({"steps": 1.5}, "steps must be an integer of at least 1"),
        ({"batch_size": "auto"}, "batch_size must be an integer of at least 1"),
        ({"hidden_layer_sizes": 50}, "sequence of one or more widths, got 50"),
        ({"hidden_layer_sizes": None}, "sequence of one or more widths, got None"),
        ({"hidden_layer_sizes": (5, 0)}, "every width in hidden_layer_sizes must be an integer of at least 1"),
        ({"activation": ["relu"]}, "activation must be one of"),
        ({"net": torch.nn.Linear(1, 2)}, "net must have dropout that fires, got none"),
        (
            {"net": torch.nn.Sequential(torch.nn.Dropout(0.0), torch.nn.Linear(1, 2))},
            "net must have dropout that fires",
        ),
        ({"hidden_layer_sizes": ()}, "sequence of one or more widths"),
        ({"activation": "step"}, "activation must be one of"),
        ({"net": "resnet"}, "net must be a torch.nn.Module, got str"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_parameters_are_checked_in_fit(kind, options, message):
    with pytest.raises(InputError, match=message):
        quick(kind, **options).fit([[0.0], [1.0], [2.0]], OF_TWO[kind])


@pytest.mark.parametrize("kind", BOTH)
def test_nothing_is_trained_or_kept_where_a_parameter_is_refused(kind, monkeypatch):
    x = [[0.0], [1.0], [2.0]]
    model = quick(kind).fit(x, OF_TWO[kind])
    expected = model.predict(x)
    monkeypatch.setattr("mcdrop.sklearn.estimator.fit", None)
    for options in ({"passes": 0}, {"weight_decay": "a"}, {"dropout": None}):
        with pytest.raises(InputError):
            clone(model).set_params(**options).fit(x, OF_TWO[kind])
        with pytest.raises(InputError):
            copy.copy(model).set_params(**options).fit([[0.0, 1.0]], [0])
    for net in (torch.nn.Linear(1, 2), own_net(5 if kind is MCDropoutClassifier else 3)):
        with pytest.raises(InputError):
            clone(model).set_params(net=net).fit(x, OF_TWO[kind])
    np.testing.assert_array_equal(model.predict(x), expected)
    assert model.n_features_in_ == 1


@pytest.mark.parametrize("outputs", [1, 3, 5])
def test_a_net_has_one_logit_for_each_class(outputs):
    model = quick(MCDropoutClassifier, net=own_net(outputs))
    with pytest.raises(InputError, match=f"one logit for each of the 2 classes of y, got {outputs}"):
        model.fit([[0.0], [1.0], [2.0]], ["a", "b", "b"])
    with pytest.raises(InputError, match="y must have the shape of the outputs"):
        quick(net=own_net(2)).fit([[0.0], [1.0]], [0.0, 1.0])


def test_what_a_net_counts_begins_with_training():
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = own_net()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += self.training or 1000
            return self.inner(x)

    net = Counting()
    trained = quick(net=net, steps=3, batch_size=None).fit([[0.0], [1.0]], [0.0, 1.0]).net_
    assert net.calls == 0
    assert trained.calls % 1000 == 3
    assert trained.calls <= 1003  # what `fit` asks of any net before it trains it


def test_numbers_of_a_search_are_numbers():
    options = {
        "steps": np.int64(3),
        "batch_size": np.int32(2),
        "dropout": np.float32(0.5),
        "learning_rate": np.float64(1),
    }
    sizes = {"hidden_layer_sizes": np.array([4, 4]), "passes": np.int64(10), "weight_decay": np.float32(0.1)}
    assert quick(**options, **sizes).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 1.0]).predict([[0.0]]).shape == (1,)


def test_nets_of_ones_own_are_checked():
    with pytest.raises(InputError, match=r"net must be a torch.nn.Module"):
        MCDropoutRegressor.from_net("net")
    with pytest.raises(InputError, match="got 'fit'; with data to fit it to"):
        MCDropoutRegressor.from_net(own_net(), noise_std="fit")
    with pytest.raises(InputError, match="passes must be an integer of at least 2"):
        MCDropoutRegressor.from_net(own_net(), passes=0)
    with pytest.raises(InputError, match="passes must be an integer of at least 2"):
        MCDropoutClassifier.from_net(own_net(2), classes=range(2), passes="many")
    with pytest.raises(InputError, match="two or more labels, all different"):
        MCDropoutClassifier.from_net(own_net(2), classes=["a", "a"])
    with pytest.raises(InputError, match="probabilities of the 3 classes of each row, got shape"):
        MCDropoutClassifier.from_net(own_net(2), classes=range(3)).predict_proba([[0.0]])
    with pytest.raises(NoDropoutError):
        MCDropoutRegressor.from_net(torch.nn.Linear(1, 1)).predict([[0.0]])
    with pytest.raises(InputError, match=r"one for each output \(2\), .*got \[0.1, 0.1, 0.1\]"):
        MCDropoutRegressor.from_net(own_net(2), noise_std=[0.1, 0.1, 0.1])
    assert MCDropoutRegressor.from_net(own_net(2), noise_std=[0.1, 0.2]).predict([[0.0]]).shape == (1, 2)


def normed(outputs=1):
    """Return a net that is not trained on a single row."""
    return torch.nn.Sequential(
        torch.nn.Linear(1, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2), torch.nn.Linear(8, outputs)
    )


@pytest.fixture
def batch_sizes(monkeypatch):
    """What training is asked for."""
    asked, fit = [], estimator.fit

    def noting(*args, **options):
        asked.append(options["batch_size"])
        return fit(*args, **options)

    monkeypatch.setattr(estimator, "fit", noting)
    return asked


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [(65, 64, 65), (65, 63, 63), (31, 5, 7), (13, 2, 5), (3, 2, 3), (30, 5, 5), (13, None, None), (13, 99, 13)],
)
def test_no_row_is_left_alone_that_a_net_is_not_trained_on(kind, rows, size, expected, batch_sizes):
    x, outputs = np.linspace(-1, 1, rows)[:, None], 1 + (kind is MCDropoutClassifier)
    net = normed(outputs)
    model = quick(kind, net=net, batch_size=size, steps=rows).fit(x, x[:, 0] > 0)
    assert batch_sizes == [expected]
    assert np.isfinite(model.predict(x)).all()
    assert (net[1].num_batches_tracked, model.net_[1].num_batches_tracked) == (0, rows)
    quick(kind, net=own_net(outputs), batch_size=size, steps=1).fit(x, x[:, 0] > 0)
    assert batch_sizes[1] == (size and min(size, rows))


@pytest.mark.parametrize(("rows", "size"), [(10, 1), (1, 64), (1, None)])
def test_single_rows_are_refused_for_a_net_that_is_not_trained_on_them(rows, size):
    x = np.linspace(-1, 1, rows)[:, None]
    with pytest.raises(InputError, match=rf"at least 2 rows \(ValueError: .*got batches of 1 of {rows} row"):
        quick(net=normed(), batch_size=size).fit(x, x[:, 0])
