"""Modules, trainers and loaders for the tests, and predictions compared field by field."""

import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from mcdrop import ClassificationPredictive, RegressionPredictive

pytest.importorskip("lightning", reason="lightning comes with the test extra")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Lightning's own imports say is not ours to mend
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import BasePredictionWriter

from mcdrop.lightning import MCDropoutCallback, PredictMixin, joined

__all__ = [
    "MARKS",
    "ROWS",
    "BasePredictionWriter",
    "LightningModule",
    "MCDropoutCallback",
    "Mixed",
    "Plain",
    "PredictMixin",
    "Trainer",
    "X",
    "assert_equal",
    "by_callback",
    "by_mixin",
    "joined",
    "loader",
    "make_net",
    "make_trainer",
]

MARKS = [
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


def by_callback(net, batches, task, **options):
    callback = MCDropoutCallback(net="net", **task, **options)
    parts = make_trainer(callback).predict(Plain(net), batches)
    return parts, callback.predictive


def by_mixin(net, batches, task, **options):
    parts = make_trainer().predict(Mixed(net, net="net", **task, **options), batches)
    return parts, joined(parts)
