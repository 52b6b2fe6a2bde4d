"""The plan of a net is found once, and anew after any change of the net or of the form of its inputs."""

import copy
import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest
import torch
from laws import Call, mlp, randn, with_weights
from torch import nn
from torch.nn import functional as F

import mcdrop.execution.run
from mcdrop import MCDropout, NoDropoutError, RowMaskWarning
from mcdrop.execution import survey


class Configured(nn.Module):
    """A net whose rate stands in an object, as in many libraries."""

    def __init__(self):
        super().__init__()
        self.config = type("Config", (), {})()
        self.config.rate = 0.1
        self.rates = {"late": [0.2, 0.3]}
        self.first = nn.Linear(3, 8)

    def forward(self, x):
        x = F.dropout(self.first(x), self.config.rate, self.training)
        return F.dropout(x, self.rates["late"][1], self.training)


@pytest.fixture
def surveys(monkeypatch):
    """Count the surveys."""
    seen = []
    monkeypatch.setattr(mcdrop.execution.run, "survey", lambda *args: (seen.append(1), survey(*args))[1])
    return seen


def test_one_survey_serves_all_calls_of_a_kind(surveys):
    model = MCDropout(with_weights(mlp()))
    first = model.predict(randn(6, 3), passes=4)
    again = model.predict(randn(6, 3), passes=4)
    model.sample(randn(6, 3, seed=1), passes=2)
    assert len(surveys) == 1
    np.testing.assert_array_equal(first.mean, again.mean)
    assert first.provenance == again.provenance


CHANGES = {
    "rate": lambda net: setattr(net.config, "rate", 0.7),
    "rate in a container": lambda net: net.rates["late"].__setitem__(1, 0.7),
    "another module": lambda net: setattr(net, "first", nn.Linear(3, 8)),
    "another weight": lambda net: setattr(net.first, "bias", nn.Parameter(torch.zeros(8))),
    "no weight": lambda net: setattr(net.first, "bias", None),
    "a new attribute": lambda net: setattr(net, "name", "net"),
    "a hook": lambda net: net.register_forward_hook(lambda module, args, output: output * 2),
    "another forward": lambda net: setattr(net, "forward", lambda x: F.dropout(x, 0.7)),
    "type": lambda net: net.double(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_any_change_of_the_net_is_seen(name, surveys):
    net = with_weights(Configured())
    model, x = MCDropout(net), randn(6, 3)
    model.predict(x, passes=4)
    CHANGES[name](net)
    after = model.predict(x, passes=50)
    assert len(surveys) == 2
    fresh = MCDropout(net).predict(x, passes=50)
    np.testing.assert_array_equal(after.std, fresh.std)
    assert after.provenance == fresh.provenance


def test_weights_and_buffers_that_change_in_place_need_no_survey(surveys):
    net = with_weights(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)))
    model, x = MCDropout(net), randn(6, 3)
    model.predict(x, passes=4)
    with torch.no_grad():
        net[0].weight.mul_(2)
        net[1].running_mean.data.fill_(3.0)
    after = model.predict(x, passes=4)
    assert len(surveys) == 1
    np.testing.assert_array_equal(after.mean, MCDropout(net).predict(x, passes=4).mean)


@pytest.mark.parametrize("x", [randn(7, 3), randn(6, 2, 3), randn(6, 3).double()])
def test_inputs_of_another_form_are_surveyed(x, surveys):
    model = MCDropout(with_weights(nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5))))
    model.predict(randn(6, 3), passes=4)
    if x.dtype == torch.float64:
        model.net.double()
    model.predict(x, passes=4)
    assert len(surveys) == 2


def test_what_was_woken_is_woken_again(surveys):
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout, self.first = 0.5, nn.Linear(3, 8)

        def forward(self, x):
            return F.dropout(self.first(x), self.dropout if self.training else 0.0)

    model = MCDropout(with_weights(Hidden()).eval())
    first, again = (model.predict(randn(6, 3), passes=20) for _ in range(2))
    assert len(surveys) == 2  # whether it may be woken depends on its weights
    assert first.std.min() > 0
    np.testing.assert_array_equal(first.std, again.std)


RATE = [0.1]


def test_a_rate_that_no_module_holds_is_still_the_one_that_counts():
    net = with_weights(nn.Sequential(nn.Linear(3, 8), Call(lambda self, x: F.dropout(x, RATE[0]))))
    model, x = MCDropout(net), randn(6, 3)
    model.predict(x, passes=4)
    try:
        RATE[0] = 0.6
        after, fresh = model.predict(x, passes=50), MCDropout(net).predict(x, passes=50)
    finally:
        RATE[0] = 0.1
    np.testing.assert_allclose(after.std, fresh.std, rtol=1e-5)


def test_what_may_be_woken_is_asked_anew():
    """A branch of training mode that does nothing to zeros does something to other inputs."""

    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 32, bias=False), nn.Linear(32, 1)

        def forward(self, x):
            h = torch.relu(self.first(x))
            if self.training:
                h = F.dropout(h * 3, 0.2, True)
            return self.last(F.dropout(h, 0.1))

    net = with_weights(Branch()).eval()
    model, x = MCDropout(net), randn(6, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.predict(torch.zeros(6, 3), passes=4)
        np.testing.assert_array_equal(model.predict(x, passes=50).mean, MCDropout(net).predict(x, passes=50).mean)


def test_a_net_that_was_refused_is_asked_anew():
    net = with_weights(nn.Sequential(nn.Linear(3, 8), Call(lambda self, x: F.dropout(x, RATE[0]))))
    model, x, before = MCDropout(net), randn(6, 3), RATE[0]
    try:
        RATE[0] = 0.0
        with pytest.raises(NoDropoutError):
            model.predict(x, passes=4)
        RATE[0] = 0.5
        pred = model.predict(x, passes=4)
        assert pred.std.max() > 0
        assert pred.provenance["sites"][0]["rate"] == 0.5
        RATE[0] = 0.0
        with pytest.raises(NoDropoutError):
            model.predict(x, passes=4)
    finally:
        RATE[0] = before


def test_what_the_survey_saw_of_the_inputs_is_confirmed():
    """A net that writes into large inputs alone: the user's are not written to."""
    net = Call(lambda self, x: self.net(x.mul_(0.5) if (x.abs() > 5).any() else x), net=mlp())
    model, large = MCDropout(with_weights(net).eval()), 100 * randn(6, 3)
    model.predict(randn(6, 3) / 10, passes=4)
    given = large.clone()
    pred = model.predict(given, passes=4)
    assert torch.equal(given, large)
    np.testing.assert_array_equal(pred.mean, MCDropout(net).predict(large, passes=4).mean)


def test_autocast_of_another_call_is_not_kept():
    model, x = MCDropout(with_weights(mlp()).eval()), randn(6, 3)
    with torch.autocast("cpu", torch.bfloat16):
        model.predict(x, passes=4)
    np.testing.assert_array_equal(model.predict(x, passes=4).mean, MCDropout(model.net).predict(x, passes=4).mean)


def test_neither_inputs_nor_large_attributes_are_kept(surveys):
    model = MCDropout(with_weights(mlp()).eval())
    x = randn(6, 3)
    alive = weakref.ref(x.untyped_storage())
    model.predict(x, passes=4)
    del x
    gc.collect()
    assert alive() is None
    model.net.vocabulary = {str(n): n for n in range(20_000)}
    for _ in range(2):
        model.predict(randn(6, 3), passes=4)
    assert len(surveys) == 3
    assert model._recall._found is None


def test_what_is_not_equal_to_itself_is_the_same(surveys):
    model = MCDropout(with_weights(mlp()).eval())
    model.net.score = float("nan")
    for _ in range(3):
        model.predict(randn(6, 3), passes=4)
    assert len(surveys) == 1


class Rated(nn.Module):
    """A net whose rate is an attribute of its class."""

    p = 0.1

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 8)

    def forward(self, x):
        return F.dropout(self.first(x), self.p)


def test_attributes_of_classes_count(monkeypatch):
    model = MCDropout(with_weights(Rated()).eval())
    model.predict(randn(6, 3), passes=4)
    monkeypatch.setattr(Rated, "p", 0.7)
    assert model.predict(randn(6, 3), passes=4).provenance["sites"][0]["rate"] == 0.7


def test_warnings_come_again():
    net = Call(lambda self, x: torch.stack([F.dropout(row, 0.5) for row in x]))
    model = MCDropout(net)
    for _ in range(2):
        with pytest.warns(RowMaskWarning, match="dropout calls grow with its rows"):
            model.predict(randn(4, 3), passes=4)


def test_a_model_is_copied_and_pickled_without_what_it_remembers(surveys):
    model = MCDropout(with_weights(mlp()))
    mean = model.predict(randn(6, 3), passes=4).mean
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(randn(6, 3), passes=4).mean, mean)
    assert len(surveys) == 3
