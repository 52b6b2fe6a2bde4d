"""Lightning: batch by batch the predictions of all rows at once, by the callback and by the mixin, and nothing left."""

import copy
import pickle
import sys
import warnings
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from mcdrop import ClassificationPredictive, InputError, MCDropout, NetError, RegressionPredictive
from mcdrop.predictive import at_points

pytest.importorskip("lightning", reason="lightning comes with the test extra")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Lightning's own imports say is not ours to mend
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import BasePredictionWriter

from mcdrop.lightning import MCDropoutCallback, PredictMixin, joined

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'predict_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Your `predict_dataloader`'s sampler has shuffling enabled"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),  # of torch, in Lightning's own code
]

ROWS = 23
X = torch.linspace(-1, 1, 3 * ROWS).reshape(ROWS, 3)
Y = torch.arange(ROWS)


def make_net(outputs=2):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(16, outputs)
    )


class Plain(LightningModule):
    """A module as people have it, with a step of its own."""

    def __init__(self, net=None):
        super().__init__()
        self.net = make_net() if net is None else net

    def forward(self, x):
        return self.net(x)

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self(batch[0]).sum()


class Mixed(PredictMixin, Plain):
    def __init__(self, inner=None, **options):
        super().__init__(inner)
        self.mc_options = options


class Two(torch.nn.Module):
    """Values and classes from one trunk."""

    def __init__(self):
        super().__init__()
        self.trunk, self.a, self.b = make_net(8), torch.nn.Linear(8, 1), torch.nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.trunk(x)
        return {"value": self.a(hidden), "kind": self.b(hidden)}


def make_trainer(*callbacks, **options):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(accelerator="cpu", devices=1, callbacks=list(callbacks), **quiet, **options)


def loader(size=7, rows=ROWS, **options):
    return DataLoader(TensorDataset(X[:rows], Y[:rows]), batch_size=size, **options)


def assert_equal(a, b, exactly=False):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key], exactly)
        return
    kind = RegressionPredictive if isinstance(a, RegressionPredictive) else ClassificationPredictive
    for field in fields(kind):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if field.name == "provenance":
            sites = (
                [{**site, "module": ""} for site in one["sites"]],
                [{**site, "module": ""} for site in other["sites"]],
            )
            assert sites[0] == sites[1]
            assert {**one, "sites": 0, "net": 0} == {**other, "sites": 0, "net": 0}
        elif one is None or exactly:
            np.testing.assert_array_equal(one, other)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


TASKS = {
    "regression": (make_net, {"task": "regression"}),
    "heteroscedastic": (make_net, {"task": "heteroscedastic"}),
    "classification": (lambda: make_net(3), {"task": "classification"}),
    "several": (Two, {"task": {"value": "regression", "kind": "classification"}}),
}


def by_callback(net, batches, task, **options):
    callback = MCDropoutCallback(net="net", **task, **options)
    parts = make_trainer(callback).predict(Plain(net), batches)
    return parts, callback.predictive


def by_mixin(net, batches, task, **options):
    parts = make_trainer().predict(Mixed(net, net="net", **task, **options), batches)
    return parts, joined(parts)


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


def test_a_second_run_starts_anew():
    net, callback = make_net(), MCDropoutCallback(net="net", passes=20, masks="independent")
    trainer, module = make_trainer(callback), Plain(net)
    trainer.predict(module, loader())
    first = callback.predictive
    trainer.predict(module, loader(9))
    assert_equal(callback.predictive, first)
    trainer.predict(module, loader(limited := 5, rows=limited))
    assert len(callback.predictive) == limited


def test_writers_and_runs_that_return_nothing():
    seen = []

    class Writer(BasePredictionWriter):
        def write_on_batch_end(self, trainer, pl_module, prediction, batch_indices, *rest):
            seen.append((len(prediction), batch_indices))

    callback = MCDropoutCallback(net="net", passes=20)
    made = make_trainer(callback, Writer("batch")).predict(Plain(), loader(), return_predictions=False)
    assert made is None
    assert len(callback.predictive) == ROWS
    assert [length for length, _ in seen] == [len(indices) for _, indices in seen] == [7, 7, 7, 2]


def test_the_older_package_takes_it_too():
    pytorch_lightning = pytest.importorskip("pytorch_lightning", reason="comes with lightning")

    class Older(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = make_net()

        def forward(self, x):
            return self.net(x)

    class OlderMixed(PredictMixin, Older):
        mc_options = {"net": "net", "passes": 20}  # noqa: RUF012

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    callback, module = MCDropoutCallback(net="net", passes=20), Older()
    pytorch_lightning.Trainer(accelerator="cpu", callbacks=[callback], **quiet).predict(module, loader())
    expected = MCDropout(module.net).predict(X, passes=20)
    assert_equal(callback.predictive, expected)
    parts = pytorch_lightning.Trainer(accelerator="cpu", **quiet).predict(OlderMixed(), loader())
    assert_equal(joined(parts), expected)


# Nothing is left behind


def state_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}, set(vars(module))


def test_the_callback_leaves_module_and_generators_as_they_were():
    module = Plain().train()
    module.net[2].eval()
    torch.manual_seed(5)
    make_trainer().predict(module, loader())  # Lightning notes something of its own at first, and draws
    draws = torch.get_rng_state()
    weights, names = state_of(module)
    flags = [part.training for part in module.modules()]
    torch.manual_seed(5)
    make_trainer(MCDropoutCallback(net="net", passes=20)).predict(module, loader())
    after, names_after = state_of(module)
    assert names_after == names
    assert all(torch.equal(weights[name], after[name]) for name in weights)
    assert [part.training for part in module.modules()] == flags
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.is_tensor(value) for value in make_trainer().predict(module, loader()))  # its own step again


def test_a_step_that_was_put_on_the_module_comes_back():
    module = Plain()
    own = module.predict_step = lambda batch, batch_idx: torch.zeros(1)
    make_trainer(MCDropoutCallback(net="net", passes=20)).predict(module, loader())
    assert vars(module)["predict_step"] is own


def test_an_error_puts_the_step_back_and_leaves_no_old_prediction():
    callback, module = MCDropoutCallback(net="net", passes=20), Plain()
    trainer = make_trainer(callback)
    trainer.predict(module, loader())
    with pytest.raises(NetError):
        trainer.predict(module, DataLoader(TensorDataset(torch.ones(4, 5))))
    assert callback.predictive is None
    assert "predict_step" not in vars(module)
    trainer.predict(module, loader())
    assert len(callback.predictive) == ROWS


def test_other_stages_are_let_be():
    class Tested(Plain):
        def test_step(self, batch, batch_idx):
            assert "predict_step" not in vars(self)

    callback = MCDropoutCallback(net="net")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'test_dataloader' does not have many workers")
        make_trainer(callback).test(Tested(), loader(), verbose=False)
    assert callback.predictive is None


def test_a_mixed_module_copies_and_pickles_after_a_run():
    module = Mixed(net="net", passes=20)
    first = joined(make_trainer().predict(module, loader()))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert_equal(joined(make_trainer().predict(other, loader())), first, exactly=True)


# Bad input


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


def test_names_of_parts_and_options_are_checked():
    with pytest.raises(InputError, match="a module within Plain, got 'nett'; its children are net"):
        make_trainer(MCDropoutCallback(net="nett")).predict(Plain(), loader())
    with pytest.raises(InputError, match="seed must be"):
        make_trainer(MCDropoutCallback(seed=-1)).predict(Plain(), loader())
    with pytest.raises(InputError, match="task must be one of"):
        make_trainer(MCDropoutCallback(task="sorting")).predict(Plain(), loader())


def test_nothing_and_half_kept_passes_cannot_be_joined():
    with pytest.raises(InputError, match="at least one prediction"):
        joined([])
    model = MCDropout(make_net())
    with pytest.raises(InputError, match="kept by all predictions or by none"):
        joined([model.predict(X, passes=4), model.predict(X, passes=4, keep_samples=True)])


@pytest.mark.parametrize("noise", [None, 0.5, [0.5, 0.1], "each"])
def test_parts_of_a_prediction_joined_are_the_prediction(noise):
    pred = MCDropout(make_net()).predict(X, passes=200, keep_samples=True)
    if noise is not None:
        pred = pred.with_noise(np.linspace(0, 1, 2 * ROWS).reshape(ROWS, 2) if noise == "each" else noise)
    parts = [at_points(pred, np.arange(start, min(start + 9, ROWS))) for start in range(0, ROWS, 9)]
    whole = joined(parts)
    for field in fields(pred):
        one, other = getattr(whole, field.name), getattr(pred, field.name)
        if field.name == "noise_std" and noise is not None:
            one, other = (np.broadcast_to(value, pred.mean.shape) for value in (one, other))
        np.testing.assert_array_equal(one, other)


def test_without_lightning_the_error_says_what_to_install(monkeypatch):
    from mcdrop import DependencyError

    for name in [name for name in sys.modules if name.split(".")[0] in ("lightning", "pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("lightning", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("mcdrop.lightning")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DependencyError, match="pip install 'mcdrop\\[lightning\\]'"):
        import mcdrop.lightning  # noqa: F401
