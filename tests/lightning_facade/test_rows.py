"""Rows numbered over a loader: batch by batch the predictions of all rows at once, whichever way."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mcdrop import InputError, MCDropout, RegressionPredictive
from mcdrop.predictive import at_points

from .made import (
    MARKS,
    ROWS,
    MCDropoutCallback,
    Mixed,
    Plain,
    Trainer,
    X,
    assert_equal,
    by_callback,
    by_mixin,
    joined,
    loader,
    make_net,
    make_trainer,
)

pytestmark = MARKS


class Two(torch.nn.Module):
    """Values and classes from one trunk."""

    def __init__(self):
        super().__init__()
        self.trunk, self.a, self.b = make_net(8), torch.nn.Linear(8, 1), torch.nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.trunk(x)
        return {"value": self.a(hidden), "kind": self.b(hidden)}


TASKS = {
    "regression": (make_net, {"task": "regression"}),
    "heteroscedastic": (make_net, {"task": "heteroscedastic"}),
    "classification": (lambda: make_net(3), {"task": "classification"}),
    "several": (Two, {"task": {"value": "regression", "kind": "classification"}}),
}


@pytest.mark.parametrize("way", [by_callback, by_mixin])
@pytest.mark.parametrize("size", [1, 7, ROWS])
@pytest.mark.parametrize("masks", ["shared", "independent"])
@pytest.mark.parametrize("name", TASKS)
def test_batches_joined_are_the_prediction_of_all_rows(name, masks, size, way):
    make, task = TASKS[name]
    net = make()
    options = {"passes": 30, "seed": 3, "masks": masks}
    parts, whole = way(net, loader(size), task, **options)
    assert len(parts) == -(-ROWS // size)
    assert_equal(whole, MCDropout(net, **task).predict(X, **options))


@pytest.mark.parametrize("inference_mode", [True, False])
@pytest.mark.parametrize("way", ["callback", "mixin"])
def test_the_module_itself_is_the_net_unless_one_is_named(way, inference_mode):
    net = make_net()
    expected = MCDropout(net).predict(X, passes=20)
    if way == "callback":
        callback = MCDropoutCallback(passes=20)
        make_trainer(callback, inference_mode=inference_mode).predict(Plain(net), loader())
        made = callback.predictive
    else:
        made = joined(make_trainer(inference_mode=inference_mode).predict(Mixed(net, passes=20), loader()))
    assert_equal(made, expected)
    assert type(made) is RegressionPredictive


def test_batches_are_predictives_themselves():
    parts, _ = by_callback(make_net(), loader(), {}, passes=20)
    assert all(isinstance(part, RegressionPredictive) for part in parts)
    assert [len(part) for part in parts] == [7, 7, 7, 2]
    assert parts[0].to("cpu") is parts[0]
    assert_equal(pickle.loads(pickle.dumps(parts[0])), parts[0], exactly=True)


def test_samples_and_passes_until_converged_are_joined_too():
    net = make_net()
    _, kept = by_callback(net, loader(), {}, passes=20, keep_samples=True)
    np.testing.assert_allclose(kept.samples, MCDropout(net).predict(X, passes=20, keep_samples=True).samples, atol=1e-5)
    _, auto = by_callback(net, loader(), {}, passes="auto", tolerance=0.1, max_passes=400)
    assert auto.passes.shape == (ROWS,)


def test_two_loaders_give_two_predictions_numbered_apart():
    net = make_net()
    callback = MCDropoutCallback(net="net", passes=20, masks="independent")
    parts = make_trainer(callback).predict(Plain(net), [loader(), loader(5, rows=12)])
    assert [len(part) for part in parts] == [4, 3]
    expected = MCDropout(net).predict(X, passes=20, masks="independent")
    assert_equal(callback.predictive[0], expected)
    assert_equal(callback.predictive[1], at_points(expected, np.arange(12)))
    mixed = make_trainer().predict(
        Mixed(net, net="net", passes=20, masks="independent"), [loader(), loader(5, rows=12)]
    )
    assert_equal(joined(mixed[1]), at_points(expected, np.arange(12)))


def test_shuffled_rows_are_refused():
    with pytest.raises(InputError, match="keeps the order of its rows, got one that shuffles"):
        by_callback(make_net(), loader(shuffle=True), {})
    with pytest.raises(InputError, match="keeps the order of its rows, got one that shuffles"):
        by_mixin(make_net(), [loader(), loader(shuffle=True)], {}, masks="independent")


def test_several_devices_are_refused(monkeypatch):
    callback = MCDropoutCallback()
    with pytest.raises(InputError, match="got 4 processes that share it; predict with Trainer\\(devices=1\\)"):
        callback.on_predict_start(SimpleNamespace(world_size=4), None)
    module = Mixed(masks="independent", passes=20)
    module.trainer = make_trainer()
    monkeypatch.setattr(Trainer, "world_size", 4)
    with pytest.raises(InputError, match="got 4 processes"):
        module.predict_step([X[:4]], 0)
    module.mc_options = {"passes": 20}  # shared masks know no rows
    assert len(module.predict_step([X[:4]], 0)) == 4


def test_batches_out_of_order_are_refused():
    module = Mixed(net="net", passes=20)
    with pytest.raises(InputError, match="got batch 3 where 0 was due"):
        module.predict_step([X], 3)
    module.predict_step([X], 0)
    with pytest.raises(InputError, match="got batch 2 where 1 was due"):
        module.predict_step([X], 2)
