"""The callback: it stands in for a module's step, and nothing is left of it."""

import sys
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from mcdrop import DependencyError, InputError, MCDropout, NetError

from .made import (
    MARKS,
    ROWS,
    BasePredictionWriter,
    MCDropoutCallback,
    Plain,
    PredictMixin,
    X,
    assert_equal,
    joined,
    loader,
    make_net,
    make_trainer,
)

pytestmark = MARKS


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


def test_names_of_parts_and_options_are_checked():
    with pytest.raises(InputError, match="a module within Plain, got 'nett'; its children are net"):
        make_trainer(MCDropoutCallback(net="nett")).predict(Plain(), loader())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pases": 20}, TypeError, "unexpected option 'pases'; the options are net, task, output, .*passes"),
        ({"passes": 1}, InputError, "passes must be an integer of at least 2"),
        ({"seed": -1}, InputError, "seed must be"),
        ({"tolerance": 0.1}, InputError, "tolerance must go with passes='auto'"),
        ({"task": "sorting"}, InputError, "task must be one of"),
        ({"output": 1.5}, InputError, "output must be a place, a name"),
        ({"class_axis": 1}, InputError, "class_axis must go with task='classification'"),
        ({"net": 5}, InputError, "net must be the path of a net within the module, such as 'net', got int"),
    ],
)
def test_options_are_checked_before_anything_runs(options, error, message):
    with pytest.raises(error, match=message):
        MCDropoutCallback(**options)


def test_a_second_callback_is_refused_and_nothing_of_either_is_left():
    one, other, module = MCDropoutCallback(net="net", passes=20), MCDropoutCallback(passes=20), Plain()
    own = module.predict_step = lambda batch, batch_idx: torch.zeros(1)
    make_trainer(other).predict(module, loader())
    for callbacks in ([one, other], [one, one]):
        with pytest.raises(InputError, match="must have one MCDropoutCallback to predict with, got 2"):
            make_trainer(*callbacks).predict(module, loader())
        assert one.predictive is other.predictive is None
        assert vars(module)["predict_step"] is own
    del module.predict_step
    with pytest.raises(InputError, match="got 2"):
        make_trainer(one, other).predict(module, loader())
    assert "predict_step" not in vars(module)
    assert all(torch.is_tensor(value) for value in make_trainer().predict(module, loader()))


def test_two_callbacks_may_stand_by_while_something_else_runs():
    class Tested(Plain):
        def test_step(self, batch, batch_idx):
            pass

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The 'test_dataloader' does not have many workers")
        make_trainer(MCDropoutCallback(), MCDropoutCallback()).test(Tested(), loader(), verbose=False)


def test_a_step_that_someone_has_taken_away_is_no_error():
    class Thief(BasePredictionWriter):
        def on_predict_end(self, trainer, pl_module):
            del pl_module.predict_step

        def write_on_epoch_end(self, *what):
            pass

    callback, module = MCDropoutCallback(net="net", passes=20), Plain()
    make_trainer(callback, Thief("epoch")).predict(module, loader())
    assert len(callback.predictive) == ROWS
    assert "predict_step" not in vars(module)


def test_without_lightning_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("lightning", "pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("lightning", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [name for name in sys.modules if name.startswith("mcdrop.lightning")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DependencyError, match="pip install 'mcdrop\\[lightning\\]'"):
        import mcdrop.lightning  # noqa: F401
