"""The mixin: its place among the bases, its options, and copies of a module."""

import copy
import pickle

import pytest

from mcdrop import InputError

from .made import (
    MARKS,
    ROWS,
    LightningModule,
    Mixed,
    Plain,
    PredictMixin,
    X,
    assert_equal,
    joined,
    loader,
    make_trainer,
)

pytestmark = MARKS


def test_a_mixed_module_copies_and_pickles_after_a_run():
    module = Mixed(net="net", passes=20)
    first = joined(make_trainer().predict(module, loader()))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert_equal(joined(make_trainer().predict(other, loader())), first, exactly=True)


def test_the_mixin_comes_before_the_module():
    message = "PredictMixin must stand before LightningModule among the bases of Late, got it after"
    with pytest.raises(InputError, match=message):
        type("Late", (LightningModule, PredictMixin), {})
    with pytest.raises(InputError, match="must stand before Plain among the bases of Later"):
        type("Later", (Plain, PredictMixin), {})


def test_a_step_may_go_on_from_that_of_the_mixin():
    class Rounded(Mixed):
        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return super().predict_step(batch, batch_idx, dataloader_idx).mean.round(1)

    class Whole(PredictMixin, LightningModule):
        pass

    class Child(Whole, LightningModule):
        mc_options = {"passes": 20}  # noqa: RUF012

    parts = make_trainer().predict(Rounded(net="net", passes=20), loader())
    assert sum(len(part) for part in parts) == ROWS
    assert Child.predict_step is PredictMixin.predict_step


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pases": 20}, TypeError, "unexpected option 'pases'; the options are net, task"),
        ({"passes": 0}, InputError, "passes must be an integer of at least 2"),
        ({"task": "sorting"}, InputError, "task must be one of"),
    ],
)
def test_options_are_checked_with_the_class_or_the_first_batch(options, error, message):
    with pytest.raises(error, match=message):
        type("Classy", (PredictMixin, LightningModule), {"mc_options": options})
    with pytest.raises(error, match=message):
        Mixed(**options).predict_step([X], 0)
